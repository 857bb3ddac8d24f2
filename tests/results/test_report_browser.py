"""A report in a real browser, Debian's Chromium without a window: opened from its file, pointed at, clicked, sorted."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from results import Objective, Run, RunWriter, TrialResult, TrialStatus, Weights
from results.report import write_report
from tests.results.conftest import make_arch, make_trial

BINARY, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BINARY is None or DRIVER is None, reason="no Chromium with its driver (Debian: chromium, chromium-driver)"
)
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
NUM_MANY = 5000
HOSTILE = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>\u202e"
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


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the report of a run of these trials from its file; nothing may be said on the console, or be loaded."""

    from selenium.webdriver.support.ui import WebDriverWait

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
        WebDriverWait(browser, 30).until(
            lambda _: browser.execute_script(
                "return document.URL === arguments[0] && document.readyState === 'complete'", address
            )
        )
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


def texts(browser: Any, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements("css selector", selector)]


def first_column(browser: Any) -> list[str]:
    return texts(browser, ".networks tbody th")


def header(browser: Any, name: str) -> Any:
    return next(one for one in browser.find_elements("css selector", ".networks thead th") if one.text.startswith(name))


def test_a_point_tells_its_figures_and_opens_its_network(opened: Open) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser = opened(few(), image_size=32)
    assert texts(browser, ".network h3") == ["Trial 5the best reward"]
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


def test_keys_go_along_the_front(opened: Open) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened(few())
    stops = browser.find_elements("css selector", ".front svg [tabindex='0']")
    assert len(stops) == 1
    browser.execute_script("arguments[0].focus()", stops[0])
    seen = []
    for _ in range(5):
        seen.append(browser.switch_to.active_element.get_attribute("aria-label").split(",")[0])
        browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert sorted(seen) == [f"trial {number}" for number in (0, 1, 2, 3, 5)]
    label = browser.switch_to.active_element.get_attribute("aria-label")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert texts(browser, ".network h3")[0].startswith(label.split(",")[0].capitalize())


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
    assert "trained alone" in [one.text for one in browser.find_elements("css selector", ".networks thead th")]


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_all_without_scrolling_sideways(opened: Open, scheme: str) -> None:
    browser = opened(few(), width=400)
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("L")
    most_frequent = max(range(256), key=image.histogram().__getitem__)
    assert (most_frequent > 128) == (scheme == "light")
    assert len(set(image.tobytes())) > 50


def test_thousands_of_trials_are_shown_when_asked_for(opened: Open) -> None:
    archs = [make_arch(8 + number) for number in range(NUM_MANY)]
    browser = opened(
        [
            make_trial(number, arch=arch, accuracy=0.1 + 0.8 * (number * 37 % 997) / 997)
            for number, arch in enumerate(archs)
        ]
    )
    assert len(browser.find_elements("css selector", ".networks tbody tr")) == 200
    assert browser.execute_script("return document.querySelectorAll('.front .mark').length") > NUM_MANY
    browser.find_element("css selector", ".networks .more").click()
    assert browser.execute_script("return document.querySelectorAll('.networks tbody tr').length") == NUM_MANY
