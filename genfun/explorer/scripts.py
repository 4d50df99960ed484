"""The few lines of JavaScript of the page: address bar, copying, names for screen readers, files too large."""

from __future__ import annotations

from typing import Any

from bokeh.events import ConnectionLost, DocumentReady
from bokeh.models import CustomJS

from genfun.explorer.controls import SLIDERS, WHAT, Controls
from genfun.explorer.uploads import LARGEST

# Links come from the server, so one that comes has not stopped.
ADDRESS = """
window.history.replaceState(null, '', link.value);
document.getElementById('lost').hidden = true;
"""
COPY = """
const told = (word) => { copy.label = word; setTimeout(() => { copy.label = "copy link" }, 1500) };
const whole = new URL(link.value, window.location.href).href;
navigator.clipboard.writeText(whole).then(() => told("copied"), () => told("not allowed"));
"""
# Sliders have no titles of their own, because their boxes have; a screen reader wants them all the same.
NAMED = """
const find = (model) => Bokeh.index.find_one_by_id(model.id);
for (const [name, slider] of Object.entries(sliders)) {
  const handle = find(slider)?.el.shadowRoot.querySelector(".noUi-handle");
  const box = boxes[name], input = find(box)?.el.shadowRoot.querySelector("input");
  if (!handle || !input) continue;
  input.title = handle.title = words[name][1];
  handle.setAttribute("aria-label", words[name][0]);
  const say = () => handle.setAttribute("aria-valuetext", box.value);
  box.properties.value.change.connect(say);
  say();
}
const only = find(link)?.el.shadowRoot.querySelector("input");
if (only) only.readOnly = true;
"""
# A larger message would end the connection, so it is stopped before it is read, let alone sent.
GUARD = """
const root = Bokeh.index.find_one_by_id(file.id)?.el.shadowRoot;
root?.addEventListener("change", (event) => {
  const chosen = event.target.files?.[0];
  if (chosen && chosen.size > largest) {
    event.stopImmediatePropagation();
    event.target.value = "";
    message.text = refusal;
    message.visible = true;
  }
}, true);
root?.addEventListener("click", (event) => { if (event.target.type === "file") event.target.value = ""; }, true);
"""
# Not through a model: whose change could not be sent.
LOST = "document.getElementById('lost').hidden = false"


def wire(document: Any, controls: Controls, link: Any, copy: Any, message: Any, refusal: str) -> None:
    """Attach them.

    Parameters
    ----------
    document : bokeh Document
    controls : Controls
    link, copy, message : bokeh models
        The box with the link, the button that copies it, the place of messages.
    refusal : str
        HTML for a file that is too large.
    """
    link.js_on_change("value", CustomJS(args={"link": link}, code=ADDRESS))
    copy.js_on_event("button_click", CustomJS(args={"copy": copy, "link": link}, code=COPY))
    words = {name: [row[0], WHAT[name]] for name, row in SLIDERS.items()}
    named = {"sliders": controls.sliders, "boxes": controls.boxes, "words": words, "link": link}
    guard = {"message": message, "largest": LARGEST, "refusal": refusal}
    guards = [CustomJS(args=guard | {"file": file}, code=GUARD) for file in (controls.file, controls.runs)]
    document.js_on_event(DocumentReady, CustomJS(args=named, code=NAMED), *guards)
    document.js_on_event(ConnectionLost, CustomJS(code=LOST))
