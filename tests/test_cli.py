"""The commands: options, exit codes, messages, and what they leave behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from support.commands import all_commands
from support.media_clips import make_video
from typer.testing import CliRunner

import fnevr
from fnevr.animation.keypoint_track import load_track
from fnevr.cli import app
from fnevr.config.engines import ENGINES, PRECISIONS
from fnevr.media.image import write_image
from fnevr.media.video import open_video
from fnevr.models import FNeVR

OPTIONS = {
    "animate": [
        *("--source", "--driving", "--output", "--model", "--device", "--engine", "--precision"),
        *("--transfer", "--smooth", "--head", "--expression", "--eyes", "--lips", "--gaze"),
        *("--sliders", "--crop"),
        *("--paste-back", "--face", "--driver-face", "--detail", "--still-background"),
        *("--best-frame", "--yaw", "--pitch", "--roll", "--sound"),
        *("--size", "--start", "--end", "--crf", "--json", "--no-clobber"),
    ],
    "edit": [
        *("image", "--output", "--yaw", "--pitch", "--roll", "--smile", "--pout", "--mouth-open"),
        *("--brow-left", "--brow-right", "--blink-left", "--blink-right", "--gaze-x", "--gaze-y"),
        "--sliders",
        *("--save-sliders", "--sweep", "--model", "--device"),
        *("--engine", "--precision"),
        *("--crop", "--paste-back", "--face", "--detail", "--still-background", "--size"),
        *("--json", "--no-clobber"),
    ],
    "record": [
        *("driver", "--output", "--model", "--device", "--engine", "--precision", "--crop"),
        *("--smooth", "--start", "--end", "--no-clobber"),
    ],
    "reconstruct": [
        *("clip", "--output", "--model", "--device", "--engine", "--precision", "--json"),
        "--no-clobber",
    ],
    "export": ["model", "out_dir", "--precision", "--calibration"],
    "reconstruct3d": [
        *("image", "--output", "--overlay", "--depth", "--normals", "--face", "--deca"),
        *("--flame", "--json", "--no-clobber"),
    ],
    "prepare": [
        *("videos", "out_dir", "--licence", "--identity", "--val-share", "--min-seconds"),
        *("--max-seconds", "--min-face", "--voxceleb", "--cropped", "--workers", "--shards"),
        *("--json", "--no-clobber"),
    ],
    "prepare-stills": [
        *("stills", "out_dir", "--motion", "--views", "--model", "--json", "--no-clobber"),
    ],
    "train": [
        *("data", "run_dir", "--stills", "--recipe", "--set", "--init", "--model", "--minutes"),
        *("--steps", "--batch-size", "--device", "--dry-run"),
    ],
    "train-editor": ["data", "model", "--stride", "--steps", "--seed", "--device"],
    "convert": ["checkpoint", "out_dir", "--depth", "--no-clobber"],
    "models": ["--json", "--no-clobber"],
    "evaluate": [
        *("--data", "--model", "--report", "--split", "--protocol", "--pairs", "--seed"),
        *("--every", "--workers", "--shard"),
        *("--alexnet", "--inception", "--arcface", "--openface"),
        *("--device", "--engine", "--precision"),
    ],
    "reproduce paper": [
        *("--voxceleb", "--checkpoints", "--report", "--utterances", "--seed", "--every"),
        *("--workers", "--shard", "--alexnet", "--inception", "--arcface", "--openface"),
        "--device",
    ],
    "complexity": ["--model", "--repeats", "--device", "--json", "--no-clobber"],
    "web": [
        *("--host", "--port", "--browser", "--virtual-camera", "--set"),
        *("--model", "--device", "--engine", "--precision"),
    ],
    "bench": [
        *("--model", "--engine", "--precision", "--batch", "--repeats", "--device", "--json"),
        "--no-clobber",
    ],
}


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_fnevr_config):
    """A working directory with a tiny model, a picture and a clip."""
    monkeypatch.chdir(tmp_path)
    FNeVR(tiny_fnevr_config).save_pretrained(tmp_path / "tiny")
    random = np.random.default_rng(0)
    write_image(tmp_path / "me.png", random.integers(0, 256, (40, 40, 3), np.uint8))
    frames = list(random.integers(0, 256, (5, 64, 64, 3), np.uint8))
    make_video(tmp_path / "talk.mp4", frames, rate=Fraction(30000, 1001))
    return tmp_path


WHOLE = ("animate", "--source", "me.png", "--driving", "talk.mp4", "--model", "tiny", "--no-crop")


def test_the_commands_and_options_are_an_inventory():
    found = {
        name: [
            parameter.opts[0] if parameter.opts[0].startswith("--") else parameter.name
            for parameter in command.params
            if parameter.name not in ("help", "verbose")
        ]
        for name, command in all_commands().items()
    }
    assert found == OPTIONS


def test_help_is_quick_and_does_not_import_torch():
    code = (
        "import sys; sys.argv = ['fnevr', '--help']\n"
        "from fnevr.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'numpy', 'av') if m in sys.modules], file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert done.stderr.decode().strip() == "[]"
    assert b"animate" in done.stdout
    assert min(seconds) < 0.5


def test_animate_writes_the_video_and_a_report(here):
    result = run(*WHOLE, "-o", "out.mp4", "--json", "report.json")
    assert result.exit_code == 0, result.output
    report = json.loads((here / "report.json").read_text())
    assert {"frames", "seconds", "frames_per_second", "model", "versions"} <= set(report)
    assert (report["frames"], report["model"], report["width"]) == (5, "tiny", 40)
    assert re.search(r"out\.mp4: 5 frames of 40 x 40 in .* frames per second", result.stderr)
    assert result.stdout == ""
    with open_video("out.mp4") as video:
        assert len(list(video)) == 5


@pytest.mark.parametrize("command", ["animate", "reconstruct"])
def test_names_that_are_not_utf_8(here, command):
    strange = "caf\udce9"
    for name in ("me.png", "talk.mp4"):
        (here / name).rename(here / f"{strange}{name}")
    files = [f"{strange}talk.mp4"]
    if command == "animate":
        files = ["--source", f"{strange}me.png", "--driving", *files, "--no-crop"]
    outputs = ["-o", f"{strange}.mp4", "--json", f"{strange}.json"]
    result = run(command, *files, "--model", "tiny", *outputs)
    assert result.exit_code == 0, result.output
    report = json.loads((here / f"{strange}.json").read_text(encoding="utf-8"))
    assert (report["output"], report["driving"]) == (r"caf\udce9.mp4", r"caf\udce9talk.mp4")


@pytest.mark.skipif(os.name == "nt", reason="names of POSIX")
def test_codes_in_names_do_not_reach_the_terminal(here):
    evil = "\x1b[31mtalk\x1b]0;title\x07.mp4"
    (here / "talk.mp4").rename(here / evil)
    for arguments in (
        ("reconstruct", evil, "--model", "tiny", "-o", f"out{evil}"),
        ("reconstruct", f"no{evil}", "--model", "tiny"),
        ("record", evil, "--model", "tiny", "--no-crop", "-o", "\x1b[1m.safetensors"),
        ("edit", evil, "--yaw", "5"),
    ):
        result = run(*arguments)
        assert "\x1b" not in result.output
        assert "\x07" not in result.output
        assert r"\x1b[" in result.stderr


def test_one_frame_is_one_frame(here):
    with open_video("talk.mp4") as video:
        write_image(here / "one.png", next(iter(video)).rgb)
    result = run(*WHOLE, "-d", "one.png", "--transfer", "absolute")
    assert "result.mp4: 1 frame of 40 x 40" in result.stderr


def test_the_report_on_stdout_is_json_alone(here):
    result = run("reconstruct", "talk.mp4", "--model", "tiny", "--json", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["output"] == "result.mp4"
    assert (here / "result.mp4").exists()


def test_options_change_the_result(here):
    def report_of(*options):
        result = run(*WHOLE, *options, "--json", "-")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert report_of("--transfer", "absolute")["reference_frame"] is None
    assert report_of("--best-frame", "first")["reference_frame"] == 0
    assert report_of("--best-frame", "3")["reference_frame"] == 3
    assert report_of("--no-paste-back")["width"] == 32
    assert report_of("--device", "cpu")["device"] == "cpu"


def test_a_recorded_motion_drives_as_its_video_does(here):
    result = run("record", "talk.mp4", "--model", "tiny", "--no-crop", "-o", "nod.safetensors")
    assert result.exit_code == 0, result.output
    assert "nod.safetensors: 5 frames at 29.97 per second, 3 keypoints of tiny" in result.stderr
    options = ("-s", "me.png", "--model", "tiny", "--no-crop", "--best-frame", "first")
    assert run("animate", *options, "-d", "nod.safetensors", "-o", "track.mp4").exit_code == 0
    assert run("animate", *options, "-d", "talk.mp4", "-o", "video.mp4").exit_code == 0
    with open_video("track.mp4") as track, open_video("video.mp4") as video:
        pairs = list(zip(track, video, strict=True))
    assert len(pairs) == 5
    # Sums in another order round otherwise, and the encoder makes more of it.
    gaps = [np.abs(ours.rgb.astype(float) - theirs.rgb).mean() for ours, theirs in pairs]
    assert max(gaps) < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("no.mp4",), r"no such file: 'no\.mp4'.*\(DRIVER\)"),
        (("talk.mp4", "-o", "nod.json"), r"must end in \.safetensors.*\(--output\)"),
        (("talk.mp4",), "no face found.* --no-crop"),
    ],
)
def test_what_cannot_be_recorded_leaves_nothing(here, options, message):
    before = sorted(here.rglob("*"))
    result = run("record", *options, "--model", "tiny")
    assert result.exit_code == 2, result.output
    assert re.search(message, " ".join(result.stderr.split()))
    assert sorted(here.rglob("*")) == before


def test_files_in_the_working_directory_are_no_modules(tmp_path):
    for name in ("numpy.py", "PIL.py"):
        (tmp_path / name).write_text("raise SystemExit('another module')")
    command = [sys.executable, "-m", "fnevr", "reconstruct3d", "numpy.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not an image" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="descriptors of POSIX")
def test_streams_may_be_closed(here):
    """As daemons do; a file that is opened then may not take the number of one."""
    code = "from fnevr.cli import main; main()"
    record = ("record", "talk.mp4", "--model", "tiny", "--no-crop", "-o", "out.safetensors")
    arguments = [sys.executable, "-c", code, *record]
    done = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *arguments], check=False)
    assert done.returncode == 0
    assert len(load_track("out.safetensors")) == 5


def test_the_version():
    assert run("--version").stdout == f"fnevr {fnevr.__version__}\n"


def test_every_command_can_say_more():
    for command in all_commands().values():
        assert command.params[-1].opts in (["--verbose", "-v"], ["--help"])
        assert "verbose" in [parameter.name for parameter in command.params]


def test_verbose_says_what_runs_and_where_errors_come_from(here):
    """In a process of its own: it changes the logger and the environment."""
    command = [sys.executable, "-m", "fnevr", *WHOLE, "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"fnevr {fnevr.__version__}" in done.stderr
    assert "numpy " in done.stderr
    assert "tiny on torch (float32, cpu)" in done.stderr
    missing = subprocess.run(
        [*command, "-s", "no.png"], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2
    assert "Traceback" in missing.stderr
    assert "no such file" in missing.stderr


@pytest.mark.parametrize("command", ["animate", "record", "reconstruct", "edit"])
def test_which_engine_runs_is_told_in_one_line(here, command):
    arguments = {
        "animate": WHOLE,
        "record": ("record", "talk.mp4", "--model", "tiny", "--no-crop"),
        "reconstruct": ("reconstruct", "talk.mp4", "--model", "tiny"),
        "edit": ("edit", "me.png", "--model", "tiny", "--no-crop"),
    }[command]
    told = [line for line in run(*arguments).stderr.splitlines() if " on " in line]
    assert told[0] == "tiny on torch (float32, cpu)"


def test_short_options_are_the_same_everywhere():
    short = {"--source": "-s", "--driving": "-d", "--output": "-o", "--verbose": "-v"}
    for command in all_commands().values():
        for parameter in command.params:
            long = parameter.opts[0]
            assert parameter.opts == [long, *([short[long]] if long in short else [])]


def test_what_stands_by_position_is_needed_and_named_in_capitals():
    for command in all_commands().values():
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                assert parameter.required
                assert parameter.metavar == parameter.metavar.upper()


def test_engines_and_precisions_are_those_of_the_library():
    told = run("animate", "--help").stdout
    assert f"--engine <{'|'.join(('auto', *ENGINES))}>" in told
    assert f"--precision <{'|'.join(('auto', *PRECISIONS))}>" in told
    result = run("bench", "--engine", "tpu")
    assert result.exit_code == 2
    assert f"'tpu' is not one of {', '.join(ENGINES)}" in " ".join(result.stderr.split())


def test_models_lists_the_presets(here):
    assert "base" in run("models").stdout
    rows = json.loads(run("models", "--json", "-").stdout)
    assert [row["name"] for row in rows][:3] == ["lite", "base", "fomm"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--source", "no.png"), r"no such file: 'no\.png'.*\(--source\)"),
        (("--driving", "no.mp4"), r"no such file: 'no\.mp4'.*\(--driving\)"),
        (("--model", "nothing"), r"no model 'nothing'.*\(--model\)"),
        (("--model", "base"), "convert the authors' checkpoint"),
        (("--output", "out.txt"), r"must end in.*\(--output\)"),
        (("--output", "talk.mp4"), "an input and an output cannot be one file"),
        (("--output", "no/out.mp4"), r"does not exist.*\(--output\)"),
        (("--best-frame", "best"), "--best-frame must be auto, first or"),
        (("--best-frame", "5"), r"there is no frame 5: the driver has 5 frame.*\(--best-frame\)"),
        (
            ("--best-frame", "1", "--transfer", "absolute"),
            "a reference frame has no meaning with --transfer absolute",
        ),
        (("--face", "1"), "--face has no meaning with --no-crop"),
        (("--face", "-1"), "--face must be all, or numbers of faces"),
        (("--face", "1.5"), "--face must be all, or numbers of faces"),
        (("--driver-face", "all"), "--driver-face must be numbers of faces"),
        (("--device", "tpu"), "'--device'"),
        (("--json", "no/report.json"), "does not exist"),
        (("--json", "out.mp4", "-o", "out.mp4"), "--json and --output are both"),
        (("--json", "me.png", "-o", "out.mp4"), "--json and --source are both"),
        (("--json", "talk.mp4", "-o", "out.mp4"), "--json and --driving are both"),
        (("--engine", "onnx"), "has no graphs of precision float32"),
        (
            ("--engine", "openvino", "--precision", "bfloat16"),
            "bfloat16 needs --engine torch or --engine compile",
        ),
        (("--engine", "tensorrt"), "--engine tensorrt needs --device cuda"),
        (
            ("--precision", "int8"),
            r"int8 needs --engine onnx or --engine openvino; .*\(--precision\)",
        ),
        (("--crop",), "no face found.* use --no-crop"),
    ],
)
def test_bad_input_exits_with_2_says_why_and_leaves_nothing(here, options, message):
    before = sorted(here.rglob("*"))
    result = run(*WHOLE, *options)
    assert result.exit_code == 2, result.output
    assert re.search(message, " ".join(result.stderr.split()))
    assert "Traceback" not in result.output
    assert sorted(here.rglob("*")) == before


def test_convert_refuses_what_is_no_checkpoint(here):
    (here / "bad.pth.tar").write_bytes(b"this is no checkpoint")
    result = run("convert", "bad.pth.tar", "out")
    assert result.exit_code == 2
    assert "bad.pth.tar" in result.stderr
    assert not (here / "out").exists()


def test_a_fault_of_ours_exits_with_1_and_says_where_to_report(here, monkeypatch):
    def fail(*_arguments, **_options):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("fnevr.animation.animator.Animator.animate", fail)
    result = run(*WHOLE)
    assert result.exit_code == 1
    assert "our fault: ZeroDivisionError: oops" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("FNEVR_DEBUG", "1")
    assert "Traceback" in run(*WHOLE).stderr


def test_an_interrupt_exits_with_130(here, monkeypatch):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fnevr.animation.animator.Animator.animate", interrupt)
    result = run(*WHOLE)
    assert result.exit_code == 130
    assert "nothing was written" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_writing_leaves_nothing_half_written(here, sent, code):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    make_video(here / "long.mp4", [picture] * 1000)
    before = sorted(here.rglob("*"))
    # Whoever started this may ignore Ctrl-C, and so would the process.
    start = "signal.signal(signal.SIGINT, signal.default_int_handler); from fnevr.cli import main"
    command = [sys.executable, "-c", f"import signal; {start}; main()"]
    command += [*WHOLE, "--driving", "long.mp4", "--transfer", "absolute"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while sorted(here.rglob("*")) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(sent)
        _, told = process.communicate(timeout=30)
    assert process.returncode == code, told.decode()
    assert sorted(here.rglob("*")) == before
