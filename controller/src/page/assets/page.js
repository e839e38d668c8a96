// Makes a view live: the controller sends what has changed as the HTML that it would have put into the page.
// Without this script the page shows what was when it was loaded.

const main = document.getElementById("main");
const state = document.getElementById("live");
const url = main.dataset.live;

/** HTML of this controller as a node; its policy lets no script and no style in it do anything. */
function node(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

/** Puts a part in the place of the one with the same id, and leaves the keyboard where it is. */
function replace(part) {
  const old = part && document.getElementById(part.id);
  if (!old || old.outerHTML === part.outerHTML) return;
  const link = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
  old.replaceWith(part);
  if (link) part.querySelector(`[href="${CSS.escape(link)}"]`)?.focus();
}

/** A line of the timeline that is not there yet. */
function append(line) {
  const lines = document.getElementById("events");
  if (!line || !lines || document.getElementById(line.id)) return;
  line.classList.add("new");
  lines.append(line);
}

/** Reads the view again and takes over its parts. */
async function reload() {
  const answer = await fetch(location.href, { redirect: "error" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  fresh.querySelectorAll("[data-part]").forEach((part) => replace(document.adoptNode(part)));
}

function follow() {
  const stream = new EventSource(url);
  stream.addEventListener("open", () => (state.textContent = "live"));
  stream.addEventListener("line", (event) => append(node(event.data)));
  stream.addEventListener("part", (event) => replace(node(event.data)));
  stream.addEventListener("changed", () => reload().catch(() => {}));
  stream.addEventListener("error", () => {
    state.textContent = "not live: trying again";
    // A browser tries again by itself, but not after a refusal.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 30_000);
  });
}

if (url) follow();
