// The rooms of the page, one at a time; what is chosen stays when one goes from room to room.

import { AnimateRoom } from "./animate.js";
import { api } from "./api.js";
import { h, place } from "./dom.js";
import { EditRoom } from "./edit.js";
import { LiveRoom } from "./live.js";
import { store } from "./store.js";

const NAMES = ["animate", "live", "edit"];
const CONSENT = "fnevr-consent";

/** Ask once for consent; the answer is remembered, the words stay below the page. */
function askForConsent() {
  const dialog = document.getElementById("consent");
  const remembered = () => {
    try {
      return localStorage.getItem(CONSENT) === "yes";
    } catch {
      return false;
    }
  };
  const remember = () => {
    try {
      localStorage.setItem(CONSENT, "yes");
    } catch { /* asked again next time */ }
  };
  dialog.querySelector("form").addEventListener("submit", remember);
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes" && !remembered()) dialog.showModal(); // it was not read
  });
  document.querySelector('[data-act="consent"]').addEventListener("click", () =>
    dialog.showModal());
  if (!remembered()) dialog.showModal();
}

function go(rooms) {
  const wanted = location.hash.slice(1);
  const name = NAMES.includes(wanted) ? wanted : NAMES[0];
  for (const other of NAMES) {
    document.getElementById(other).hidden = other !== name;
    if (other !== name) rooms[other].leave?.();
    const link = document.querySelector(`nav a[href="#${other}"]`);
    if (other === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `fnevr · ${document.querySelector(`#${name} h1`).textContent}`;
  rooms[name].enter?.();
  return name;
}

async function begin() {
  askForConsent();
  await store.load();
  const jobs = await api.get("/api/jobs");
  const animate = new AnimateRoom(document.getElementById("animate"));
  const showJob = async (job, isShown = true) => {
    animate.show(typeof job === "string" ? await api.get(`/api/jobs/${job}`) : job);
    if (isShown) location.hash = "animate";
  };
  const rooms = {
    animate,
    live: new LiveRoom(document.getElementById("live"), showJob),
    edit: new EditRoom(document.getElementById("edit"), showJob),
  };
  store.choosePicture(store.picture, store.face);
  store.chooseDriver(store.driver);
  animate.resume(jobs);
  let open = go(rooms);
  addEventListener("hashchange", () => {
    if (location.hash !== "#main") open = go(rooms); // that one skips to the content
  });
  addEventListener("keydown", (event) => {
    const isTyped = event.target.closest(
      "input:not([type=range], [type=checkbox]), select, dialog");
    const isOther = event.repeat || event.ctrlKey || event.metaKey || event.altKey;
    if (!isTyped && !isOther) rooms[open].key?.(event);
  });
  // A file that misses a card must not replace the page.
  for (const kind of ["dragover", "drop"]) {
    addEventListener(kind, (event) => event.preventDefault());
  }
  const { keep_minutes: minutes } = store.about.limits;
  place("keep").textContent = `Files are deleted ${minutes} minutes after they were last used.`;
  document.body.dataset.ready = "yes";
}

begin().catch((problem) => {
  document.getElementById("main").prepend(h("p", { class: "error", role: "alert" },
    problem.message));
});
