#!/bin/sh
# Makes DejaVuSans-subset.ttf from DejaVuSans.ttf 2.37, with fonttools 4.68 (pip install fonttools).
# Latin with its European letters, Greek, Russian and its neighbors, dashes, quotes, ellipsis, minus, flat and sharp.
exec pyftsubset "$1" --output-file="$(dirname "$0")/DejaVuSans-subset.ttf" \
    --unicodes=U+0020-007E,U+00A0-017F,U+1E9E,U+0370-03FF,U+0400-045F,U+2010-2015,U+2018-201E,U+2026,U+20AC,U+2212,U+266D,U+266F,U+FFFD \
    --no-hinting --notdef-outline --layout-features= --legacy-kern --drop-tables+=GPOS,GSUB,GDEF,FFTM,prep,fpgm,cvt
