// Light or dark: as the system has it, unless somebody chose. The choice lies in localStorage, and every open document of the demo follows it.

const place = "knownsender-demo-colours";
const choices = ["system", "light", "dark"] as const;
type Choice = (typeof choices)[number];

function chosen(): Choice {
  const stored = localStorage.getItem(place);
  return choices.find((choice) => choice === stored) ?? "system";
}

function apply(): void {
  const choice = chosen();
  if (choice === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = choice;
  for (const input of document.querySelectorAll<HTMLInputElement>("#theme input")) input.checked = input.value === choice;
}

/** Draws the switch, in documents that have a place for it. */
function draw(): void {
  const switchPlace = document.getElementById("theme");
  for (const choice of switchPlace === null ? [] : choices) {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "theme", value: choice });
    input.addEventListener("change", () => {
      localStorage.setItem(place, choice);
      apply();
    });
    const label = document.createElement("label");
    label.className = "choice";
    label.append(input, Object.assign(document.createElement("span"), { textContent: choice }));
    switchPlace?.append(label);
  }
  apply();
}

apply();
addEventListener("storage", ({ key }) => {
  if (key === place || key === null) apply();
});
if (document.readyState === "loading") addEventListener("DOMContentLoaded", draw);
else draw();

export {};
