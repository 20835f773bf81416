// The server, gone and back: the page says so, and goes on where it was.

import * as api from "./api.js";

/** Milliseconds between two looks at a server that is gone, and at one that was there. */
const AGAIN = 2000;
const STILL_THERE = 3000;

/** Watches the server from now on. @param {import("./state.js").Store} store @param {(error: unknown) => void} failed */
export function onReach(store, failed) {
  let isGone = false;
  const lookAgain = () => setTimeout(() => api.project().catch(() => {}).finally(() => isGone && lookAgain()), AGAIN);
  api.onReach((gone) => {
    if (gone === isGone) return;
    isGone = gone;
    document.body.classList.toggle("gone", gone);
    if (gone) lookAgain();
    else {
      store.set({ notices: store.state.notices.filter((notice) => !notice.gone), said: "The server is back" });
      store.again().catch(failed);
    }
  });
  // A server that stopped is noticed also where nothing else is asked of it.
  const look = () => !isGone && document.visibilityState === "visible" && api.project().catch((error) => error.gone && store.tell(error));
  setInterval(look, STILL_THERE);
}
