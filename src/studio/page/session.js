// A session of microphones: nothing is painted and no file is added; how much of the bleed goes is chosen.

/** What there is no use for in a session stays away. */
export const LISTENS = { tool: "hand", drawer: false };

const WHOLE = "put the file into the session's folder, and start `partita studio` with that";

/** Says why a file is not taken. */
export const refuseFile = (store) => store.tell({ message: "a session is opened whole", hint: WHOLE });

/** Makes the page one for microphones. @param {import("./state.js").Store} store @param {(change: object) => void} setPrefs */
export function openSession(store, setPrefs) {
  document.body.classList.add("session");
  document.getElementById("rows-title").textContent = "Microphones";
  document.querySelector("#drop p").textContent = `A session is opened whole: ${WHOLE}.`;
  const strength = document.getElementById("strength");
  const show = ({ document: { debleed } }) => (strength.value = 100 * debleed.strength);
  strength.addEventListener("change", () => {
    const debleed = { ...store.document.debleed, strength: Number(strength.value) / 100 };
    store.edit("Bleed", { ...store.document, debleed });
  });
  store.subscribe(show);
  show(store.state);
  setPrefs({});
}
