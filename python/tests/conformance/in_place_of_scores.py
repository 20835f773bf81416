"""A plugin for pytest that puts partita's scores in the place of museval's and mir_eval's.

From the folder ``tests`` of the sources of either, which are not installed with it::

    PYTHONPATH=PATH/python/tests/conformance python -m pytest -p in_place_of_scores test_bsseval.py

mir_eval skips its tests as a module, since the functions are deprecated there: ``pytest.skip(allow_module_level=True)``
has to be taken out of its ``test_separation.py``.
"""

import importlib.util

from partita import metrics

if importlib.util.find_spec("museval"):
    import museval.metrics

    museval.metrics.bss_eval = metrics.bss_eval
if importlib.util.find_spec("mir_eval"):
    import mir_eval.separation

    for _name in ("sources", "images"):
        for _function in (f"bss_eval_{_name}", f"bss_eval_{_name}_framewise"):
            setattr(mir_eval.separation, _function, getattr(metrics, _function))
