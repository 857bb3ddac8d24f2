"""A report in a real browser, Debian's Chromium without a window: opened from its file, pointed at, clicked, sorted,
used by keys alone, printed."""

import base64
import gc
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from results import Objective, Run, RunWriter, TrialResult, TrialStatus, Weights
from results.report import write_report
from tests.results.conftest import make_arch, make_trial

BINARY, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        BINARY is None or DRIVER is None, reason="no Chromium with its driver (Debian: chromium, chromium-driver)"
    ),
    # Where the browser is slow, selenium now and then leaves something open to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NUM_MANY = 1200
SHEET = 696
"""Pixels, of an A4 sheet between its margins."""
HOSTILE = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>\u202e"
TEXTS = """
return [...document.querySelectorAll(arguments[0])].map((one) => (one.innerText ?? one.textContent).trim())
"""
TAB_STOP = """
const at = document.activeElement, style = getComputedStyle(at);
if (at === document.body) return null;
const told = at.matches("path, [role='region']") ? at.getAttribute("aria-label").split(",")[0]
    : at.matches("a, button") ? at.innerText.trim() : "";
const isShown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 1;
return [`${at.localName} ${told}`.trim(), isShown || (at.matches(".mark") && parseFloat(style.strokeWidth) > 2)];
"""
WIDEST = """
return Math.max(...[...document.querySelectorAll("main *")].map((one) => one.getBoundingClientRect().right))
"""
NUM_FOLDED = "document.querySelectorAll('details:not([open])').length"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(BINARY)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()
        del driver
        gc.collect()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the report of a run of these trials from its file; nothing may be said on the console, or be loaded."""

    def call(trials: list[TrialResult], *, width: int = 1200, **config: Any) -> Any:
        folder = tmp_path / "run"
        with RunWriter.create(folder, config=config, objective=Objective(reference_params=2000)):
            pass
        (folder / "trials.jsonl").write_text("".join(f"{trial.to_json()}\n" for trial in trials))
        write_report(Run(folder), folder / "report.html", "run")
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        address = (folder / "report.html").as_uri()
        browser.get(address)
        # Of a large file the driver may come back before its script has run.
        wait(browser, "return document.URL === arguments[0] && document.readyState === 'complete'", address)
        return browser

    yield call
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def few() -> list[TrialResult]:
    """Trials 0 to 5, of ever more accuracy and time; the last but one is dominated, 6 failed."""
    trials = [make_trial(number, accuracy=0.5 + number / 20, step_time_ratio=1 + number) for number in range(4)]
    return [
        *trials,
        make_trial(4, accuracy=0.4, step_time_ratio=9.0),
        make_trial(5, accuracy=0.9, step_time_ratio=8.0),
        make_trial(6, status=TrialStatus.FAILED, reason=HOSTILE),
    ]


def wait(browser: Any, script: str, *arguments: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(script, *arguments))


def keys() -> Any:
    from selenium.webdriver.common.keys import Keys

    return Keys


def press(key: str) -> Callable[[Any], None]:
    """Presses a key wherever the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    return lambda browser: ActionChains(browser).send_keys(getattr(keys(), key)).perform()


def focused(browser: Any) -> Any:
    return browser.switch_to.active_element


def focus(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).focus()", selector)


def texts(browser: Any, selector: str) -> Any:
    return browser.execute_script(TEXTS, selector)


def first_column(browser: Any) -> Any:
    return texts(browser, ".networks tbody th")


def header(browser: Any, name: str) -> Any:
    number = next(n for n, head in enumerate(texts(browser, ".networks thead th")) if head.startswith(name))
    return browser.find_element("css selector", f".networks thead th:nth-child({number + 1})")


def test_a_point_tells_its_figures_and_opens_its_network(opened: Open) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser = opened(few(), image_size=32)
    assert texts(browser, ".network h3") == ["Trial 5the best reward, on the front"]
    assert len(browser.find_elements("css selector", ".front .mark:not(.legend *)")) == 6
    tip = browser.find_element("css selector", ".front .tip")
    assert not tip.is_displayed()
    point = browser.find_element("css selector", ".front svg [aria-label^='trial 2,']")
    ActionChains(browser).move_to_element(point).perform()
    assert tip.is_displayed()
    assert tip.text.splitlines()[0] == "trial 2, on the front"
    ActionChains(browser).click(point).perform()
    assert texts(browser, ".network h3") == ["Trial 2on the front"]
    trial = few()[2]
    words = " ".join(texts(browser, ".network"))
    assert f"{trial.params:,}" in words
    assert f"{trial.arch.macs(32):,}" in words
    assert texts(browser, ".drawing tbody th") == ["stem", "stage 1", "head", "classes"]
    assert len(browser.find_elements("css selector", ".drawing .box.mbconv")) == 2
    assert "nas train run:2 --data DIR --image-size 32 --budget 30ep" in texts(browser, ".network code.command")


def test_tab_stops_at_all_that_a_mouse_reaches_and_shows_where_it_is(opened: Open) -> None:
    browser = opened(few())
    stops = []
    for _ in range(60):
        press("TAB")(browser)
        stop = browser.execute_script(TAB_STOP)
        if stop is None:
            break
        stops.append(stop)
    assert [what for what, is_shown in stops if not is_shown] == []
    whats = [what for what, _ in stops]
    assert whats[:6] == ["a Answer", "a What was asked", "a Networks", "a Failures", "a Environment", "summary"]
    front = whats.index("path trial 5")
    assert whats[front - 2 : front] == ["select", "select"]
    assert whats[front + 1 : front + 6] == ["button Close", "div drawing", "button Copy", "button Copy", "button Copy"]
    table = whats.index("input")
    heads = texts(browser, ".networks thead button")
    assert whats[table + 1] == "div networks"
    assert whats[table + 2 : table + 2 + len(heads)] == [f"button {head}" for head in heads]
    assert whats[table + 2 + len(heads) :] == ["button 5", "select", "path trial 0", "path trial 0", "summary"]


def test_keys_go_along_the_front_from_left_to_right(opened: Open) -> None:
    browser = opened(few())
    focus(browser, ".front svg [tabindex='0']")
    seen = []
    for key in ("HOME", *["ARROW_RIGHT"] * 5, "ARROW_LEFT"):
        press(key)(browser)
        seen.append(focused(browser).get_attribute("aria-label").split(",")[0])
    assert seen == [f"trial {number}" for number in (0, 1, 2, 3, 5, 5, 3)]
    assert browser.find_element("css selector", ".front .tip").text.splitlines()[0] == "trial 3, on the front"
    for key, number in (("ENTER", 3), ("ARROW_LEFT", 3), ("SPACE", 2)):
        press(key)(browser)
        assert texts(browser, ".network h3")[0].startswith(f"Trial {number}")
        (expanded,) = browser.find_elements("css selector", ".front .mark[aria-expanded='true']")
        assert expanded.get_attribute("aria-label").startswith(f"trial {number},")
        assert expanded.get_attribute("aria-controls") == "network-0"
    press("ESCAPE")(browser)
    assert not browser.find_element("css selector", ".front .tip").is_displayed()
    assert texts(browser, ".network h3") != []
    press("ESCAPE")(browser)
    assert texts(browser, ".network") == ["No network is open."]
    assert browser.find_elements("css selector", "[aria-expanded='true']") == []
    assert focused(browser).get_attribute("aria-label").startswith("trial 2,")


def test_keys_sort_the_table_and_open_and_close_its_rows(opened: Open) -> None:
    browser = opened(few())
    browser.execute_script("arguments[0].focus()", header(browser, "step time").find_element("css selector", "button"))
    press("ENTER")(browser)
    assert header(browser, "step time").get_attribute("aria-sort") == "descending"
    press("SPACE")(browser)
    assert header(browser, "step time").get_attribute("aria-sort") == "ascending"
    assert first_column(browser) == ["0", "1", "2", "3", "5", "4"]
    focus(browser, ".networks tbody [tabindex='0']")
    for key, number in (
        ("HOME", "0"),
        ("ARROW_DOWN", "1"),
        ("END", "4"),
        ("ARROW_UP", "5"),
        ("PAGE_UP", "0"),
        ("ARROW_DOWN", "1"),
    ):
        press(key)(browser)
        assert focused(browser).text == number
    for close in (press("ESCAPE"), lambda _: press("TAB")(browser) or press("ENTER")(browser)):
        press("ENTER")(browser)
        assert focused(browser).get_attribute("aria-label") == "Network of trial 1"
        assert texts(browser, ".networks [aria-expanded='true']") == ["1"]
        close(browser)
        assert focused(browser).text == "1"
        assert browser.find_elements("css selector", "[aria-expanded='true']") == []


def test_a_command_is_copied(opened: Open) -> None:
    browser = opened(few())
    focus(browser, ".network .copying button")
    press("ENTER")(browser)
    wait(browser, "return document.querySelector('.copying [role=status]').innerText === 'copied'")
    field = browser.find_element("css selector", ".networks input")
    browser.execute_script("arguments[0].focus()", field)
    field.send_keys(keys().CONTROL, "v")
    assert field.get_attribute("value") == texts(browser, ".network code.command")[0] == "nas describe run:5"


def test_paper_shows_all_of_it_black_on_white(opened: Open) -> None:
    deep = replace(make_arch(), stages=make_arch().stages * 9)
    browser = opened([*few(), make_trial(7, arch=deep), make_trial(8, device="d" * 200)], data={"summary": "s" * 300})
    media = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_script(f"addEventListener('beforeprint', () => {{ window.folded = {NUM_FOLDED}; }})")
    folded = browser.execute_script(f"return {NUM_FOLDED}")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF-")
    assert browser.execute_script("return window.folded") == 0 < folded
    assert browser.execute_script(f"return {NUM_FOLDED}") == folded
    size = {"width": SHEET, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert browser.execute_script(WIDEST) <= SHEET
        colours = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
        assert browser.execute_script(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
        assert not [one for one in browser.find_elements("css selector", "nav, .close, .copying") if one.is_displayed()]
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_the_table_is_sorted_and_filtered_and_opens_networks(opened: Open) -> None:
    browser = opened(few())
    assert header(browser, "reward").get_attribute("aria-sort") == "descending"
    header(browser, "step time").find_element("css selector", "button").click()
    assert first_column(browser) == ["4", "5", "3", "2", "1", "0"]
    assert header(browser, "reward").get_attribute("aria-sort") == "none"
    header(browser, "step time").find_element("css selector", "button").click()
    assert first_column(browser) == ["0", "1", "2", "3", "5", "4"]
    assert header(browser, "step time").get_attribute("aria-sort") == "ascending"
    field = browser.find_element("css selector", ".networks input")
    field.send_keys("front -10x2")
    assert first_column(browser) == ["2"]
    assert texts(browser, ".networks .told") == ["1 of 6 shown"]
    browser.find_element("css selector", ".networks tbody .link").click()
    assert texts(browser, ".network h3") == ["Trial 2on the front"]


def test_axes_are_chosen(opened: Open) -> None:
    from selenium.webdriver.support.select import Select

    browser = opened(
        [
            make_trial(0, weights=Weights.SUPERNET, accuracy=0.3),
            make_trial(1, weights=Weights.SUPERNET, accuracy=0.2, step_time_ratio=0.5),
            make_trial(2, arch=make_arch(8), repeat=1, accuracy=0.9),
        ]
    )
    up, across = (Select(one) for one in browser.find_elements("css selector", ".front select"))
    assert len(browser.find_elements("css selector", ".front .picture .mark")) == 2
    up.select_by_visible_text("accuracy, trained alone")
    assert len(browser.find_elements("css selector", ".front .picture .mark")) == 1
    across.select_by_visible_text("parameters")
    assert [text for text in texts(browser, ".front .name") if "parameters" in text]
    assert first_column(browser) == ["0", "1"]
    assert "trained alone" in texts(browser, ".networks thead th")


def test_a_hostile_run_runs_nothing(opened: Open) -> None:
    browser = opened(
        [make_trial(0, device=HOSTILE), make_trial(1, status=TrialStatus.FAILED, reason=HOSTILE)],
        space={"name": HOSTILE},
        data={"summary": HOSTILE},
        environment={"cpu": HOSTILE},
    )
    assert browser.execute_script("return window.ran === undefined && document.images.length === 0")
    shown = HOSTILE.replace("\u202e", "?")
    assert shown in browser.find_element("css selector", "#failures").text
    assert shown in browser.find_element("css selector", "#environment").text


def test_a_run_without_trials_says_so(opened: Open) -> None:
    browser = opened([])
    assert "no trial has ended" in browser.find_element("css selector", "#answer").text
    assert browser.find_elements("css selector", ".device") == []


def test_a_telephone_shows_all_without_scrolling_sideways(opened: Open) -> None:
    browser = opened(few(), width=360)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("L")
        most_frequent = max(range(256), key=image.histogram().__getitem__)
        assert (most_frequent > 128) == (scheme == "light")
        assert len(set(image.tobytes())) > 50


def test_many_trials_are_shown_when_asked_for(opened: Open) -> None:
    archs = [make_arch(8 + number) for number in range(NUM_MANY)]
    browser = opened(
        [
            make_trial(number, arch=arch, accuracy=0.1 + 0.8 * (number * 37 % 997) / 997)
            for number, arch in enumerate(archs)
        ]
    )
    assert len(browser.find_elements("css selector", ".networks tbody tr")) == 200
    assert len(browser.find_elements("css selector", ".networks tbody [tabindex='0']")) == 1
    assert browser.execute_script("return document.querySelectorAll('.front .mark').length") > NUM_MANY
    browser.find_element("css selector", ".networks .more").click()
    assert browser.execute_script("return document.querySelectorAll('.networks tbody tr').length") == NUM_MANY
    assert focused(browser).text == browser.execute_script(
        "return document.querySelectorAll('.networks tbody th')[200].innerText"
    )
