"""Nothing but the one file is opened, whatever is written in it and however it is called."""

import os
import threading
import time

import pytest
from support.media_clips import beeping_sound, make_sound, make_video

from fnevr.errors import MediaError
from fnevr.media.audio import has_audio
from fnevr.media.video import open_video

FIFO = "other.ts"
PLAYLISTS = {
    "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{FIFO}\n#EXT-X-ENDLIST\n",
    "hidden.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{FIFO}\n#EXT-X-ENDLIST\n",
    "a.ffconcat": f"ffconcat version 1.0\nfile {FIFO}\n",
    "a.txt": f"ffconcat version 1.0\nfile '{FIFO}'\n",
    "a.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet>'
    f'<Representation id="1" bandwidth="1"><BaseURL>{FIFO}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\n",
    "a.cue": f'FILE "{FIFO}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "a.pls": f"[playlist]\nFile1={FIFO}\nNumberOfEntries=1\n",
    "a.asx": f'<asx version="3.0"><entry><ref href="{FIFO}"/></entry></asx>',
    "a.nsv.ram": f"file:{FIFO}\n",
}


class Trap:
    """A named pipe that notices whoever opens it to read."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.is_sprung, self._stop = path, False, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.is_set():
            try:
                os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody reads
                time.sleep(0.002)
            else:
                self.is_sprung = True


@pytest.fixture
def trap(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Trap(tmp_path / FIFO) as there:
        yield there


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
def test_the_trap_notices_a_reader(trap):
    os.close(os.open(FIFO, os.O_RDONLY))
    assert trap.is_sprung


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes of POSIX")
@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("read", [open_video, has_audio], ids=["pictures", "sound"])
def test_files_that_a_playlist_names_are_not_opened(trap, tmp_path, name, read):
    (tmp_path / name).write_text(PLAYLISTS[name])
    with pytest.raises(MediaError, match="is not a video"):
        read(tmp_path / name)
    time.sleep(0.02)
    assert not trap.is_sprung


@pytest.mark.parametrize(
    "name",
    ["a%03d.png", "%d.jpg", "a*.png", "a?.mp4", "[a].mkv", "a%d.mp4", "concat:a|b.mp4", "fd:0.mp4"],
)
def test_a_name_is_no_pattern(tmp_path, name):
    make_video(tmp_path / "plain.mp4", num_frames=3).rename(tmp_path / name)
    for number in range(1, 4):
        make_video(tmp_path / f"a{number:03}.mp4", num_frames=9)
    with open_video(tmp_path / name) as video:
        assert len(list(video)) == 3
    with pytest.raises(MediaError, match="no such file"):
        open_video(tmp_path / "a%04d.png")


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "avi", "flv", "ts", "mpg"])
def test_usual_formats_are_read_by_any_name(tmp_path, extension):
    codecs = {"webm": "libvpx-vp9", "mpg": "mpeg2video"}
    path = tmp_path / f"a.{extension}"
    make_video(path, num_frames=50, codec=codecs.get(extension, "libx264"))
    for name in ("plain", "a.b%d"):
        path = path.rename(tmp_path / name)
        with open_video(path) as video:
            assert len(list(video)) == 50


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.mp3", "mp3"), ("a.flac", "flac"), ("a.aac", "aac")],
)
def test_usual_sounds_are_read(tmp_path, name, codec):
    assert has_audio(make_sound(tmp_path / name, beeping_sound(1, []), codec))
