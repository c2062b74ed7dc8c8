// Live parts of a page, rows of forms, and one checkbox for many. Pages work without it, but for adding rows.
"use strict";

const EVERY = 1000;

function announced(part) {
  return Array.from(part.querySelectorAll("[data-announce]"), (one) => one.dataset.announce);
}

async function refresh(part, voice) {
  const answer = await fetch(part.dataset.live, { headers: { "X-Live": "1" }, redirect: "manual" });
  if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
  if (!answer.ok) return;
  const text = await answer.text();
  if (text === part.lastText || part.matches(":active")) return;
  const before = announced(part);
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.innerHTML = part.lastText = text; // our own server's, escaped there
  if (focused) document.getElementById(focused)?.focus();
  const news = announced(part).filter((line) => !before.includes(line));
  if (news.length) voice.textContent = news.join(". ");
}

function live() {
  const parts = Array.from(document.querySelectorAll("[data-live]"));
  if (!parts.length) return;
  const voice = document.createElement("p");
  voice.className = "unseen";
  voice.setAttribute("aria-live", "polite");
  document.body.append(voice);
  const turn = async () => {
    if (!document.hidden) await Promise.allSettled(parts.map((part) => refresh(part, voice)));
    setTimeout(turn, EVERY);
  };
  setTimeout(turn, EVERY);
}

function members(toggle) {
  const name = toggle.dataset.toggleAll;
  return Array.from(document.querySelectorAll(`input[name="${name}"], input[data-of="${name}"]`));
}

function settle() {
  for (const toggle of document.querySelectorAll("[data-toggle-all]")) {
    const on = members(toggle).filter((one) => one.checked).length;
    toggle.checked = on > 0 && on === members(toggle).length;
    toggle.indeterminate = on > 0 && !toggle.checked;
  }
}

document.addEventListener("change", (event) => {
  const toggle = event.target.closest("[data-toggle-all]");
  if (toggle) for (const one of members(toggle)) one.checked = toggle.checked;
  if (event.target.matches("[data-go]")) location.assign(event.target.value);
  settle();
});

document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add]");
  const remove = event.target.closest("[data-remove]");
  if (add) {
    const rows = document.querySelector(`[data-rows="${add.dataset.add}"]`);
    const next = (Number(rows.dataset.next) || 1000) + 1;
    rows.dataset.next = next;
    const row = document.querySelector(`[data-row="${add.dataset.add}"]`).content.cloneNode(true);
    for (const one of row.querySelectorAll("[name]")) one.name = one.name.replace("__n__", next);
    rows.append(row);
    rows.lastElementChild.querySelector("select").focus();
  }
  if (remove) remove.closest("tr").remove();
  if (add || remove) settle(); // not for other clicks: a checkbox tells its change only after its click
});

document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
settle();
live();
