"""The table of all trials in a real browser, clicked and typed into as a reader does it."""

import base64
import json
import re
import shutil
import subprocess

import pytest

from nas.report import report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]
# Clicks and types, and leaves what it then sees in an element of the page.
READER = """
<script>
const seen = [];
const click = (name) => document.querySelector(`#all [data-sort="${name}"]`).click();
const type = (words) => {
  const filter = document.querySelector("[name=filter]");
  filter.value = words;
  filter.dispatchEvent(new Event("input", { bubbles: true }));
};
const look = () => {
  const heads = [...document.querySelectorAll("#all th[scope=col] button")].map((each) => each.dataset.sort);
  const rows = [...document.querySelectorAll("#all tbody tr")];
  const cells = (name) => rows.map((row) => row.children[heads.indexOf(name)].textContent);
  const sorted = document.querySelector("#all th[aria-sort$=ending]");
  seen.push({
    rows: rows.length,
    trials: cells("trial_id"),
    rewards: cells("reward"),
    statuses: cells("status"),
    count: document.querySelector("[name=count]").value,
    page: document.querySelector(".pages span").textContent,
    sorted: sorted && sorted.getAttribute("aria-sort"),
    hash: location.hash,
    columns: heads.length,
  });
};
look();
click("reward"); look();
click("reward"); look();
document.querySelector('[data-page="1"]').click(); look();
type("status=ok trial>=9990"); look();
type("oom"); look();
type("nonsense>3"); look();
type("");
document.querySelector("[name=decisions]").click(); look();
document.querySelector("[name=front]").click(); look();
const left = document.createElement("pre");
left.id = "seen";
left.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
document.body.append(left);
</script>
"""


def test_the_table_sorts_filters_and_pages(long_run, tmp_path):
    """Of 10,000 trials a page is drawn; a heading sorts all of them, either way; words and comparisons filter."""
    text, page = report(long_run), tmp_path / "page.html"
    assert len(text) < 5_000_000, "it can be mailed"
    assert "Drawn: 2,000 of 8,333 trials" in text
    if BROWSER is None:
        pytest.skip("no Chromium here: nothing was clicked")
    page.write_text(text.replace("</body>", READER + "</body>"))
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    seen = json.loads(base64.b64decode(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)[1]))
    first, best, worst, second, last, oom, wrong, decided, on_front = seen
    assert first["rows"] == 25
    assert first["trials"][0].split()[0] == "0"
    assert first["count"] == "10,000 of 10,000 trials"
    assert best["sorted"] == "descending"
    assert best["rewards"][0] == f"{0.5 + 9998 / 25_000:.4f}" == "0.8999"
    assert best["rewards"] == sorted(best["rewards"], reverse=True)
    assert worst["sorted"] == "ascending"
    assert worst["rewards"][:2] == ["0.5000", "0.5000"]
    assert "–" not in worst["rewards"], "unknown ones come last, either way"
    assert second["page"] == "page 2 of 400"
    assert second["rewards"][0] >= worst["rewards"][-1]
    assert last["hash"].startswith("#sort=reward&filter="), "who reads the page anew finds it as it was"
    assert set(last["statuses"]) == {"ok"}
    assert last["count"] == f"{last['rows']} of 10,000 trials" == "8 of 10,000 trials"
    assert set(oom["statuses"]) == {"oom"}
    assert wrong["rows"] == 0
    assert wrong["count"].startswith("no column nonsense; there are: trial_id, status, reward")
    assert decided["columns"] > first["columns"] + 10
    assert all(each.endswith((" *", " ○")) for each in on_front["trials"])
