"""Everything that can be wrong with a manifest: one line each, at its place, with what to write instead.

The sign § stands before the place that the problem must name, and is no part of the manifest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.core.errors import ProblemsError, UsageError
from tests.manifest.reading import HEAD, problems_of, read

FINE = "prompts:\n  - {id: a, prompt: A boat}\n"


def only_problem(folder: Path, marked: str) -> str:
    """The only problem of a manifest, which must be at the mark."""
    before, _, after = marked.partition("§")
    (problem,) = problems_of(folder, before + after)
    place, _, message = problem.partition(": ")
    assert place == f"{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"
    return message


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("this is no manifest but the operator's configuration, which is found by itself (name", "§providers: {cometapi: {concurrency: 4}}\nverify: decode\n"),
        ("`batchgen` is missing (write batchgen: 1)", "§model: gpt-image-2\n" + FINE),
        ('`batchgen` is "2" (write 1)', "batchgen: §2\nmodel: gpt-image-2\n" + FINE),
        ("unknown key `prompst` (did you mean prompts?)", HEAD + "§prompst: []\n" + FINE),
        ("unknown key `finish` (", HEAD + "limits: {§finish: 5h}\n" + FINE),
        ('`job` is "a b"', HEAD + "job: §a b\n" + FINE),
        ("`job` is con, a name that Windows", HEAD + "job: §con\n" + FINE),
        ("`job` must be text, but an unquoted 012", HEAD + "job: §012\n" + FINE),
        ('there is no provider "comet" (did you mean cometapi?)', HEAD + "provider: §comet\n" + FINE),
        ("`limits.finish_by` must be text, but an unquoted 06:30", HEAD + "limits: {finish_by: §06:30}\n" + FINE),
        ('"6am" is no time (write "06:30"', HEAD + "limits: {finish_by: §6am}\n" + FINE),
        ("this is no length of time (write 600s", HEAD + "limits: {max_duration: §600}\n" + FINE),
        ("finish_by and max_duration exclude", HEAD + 'limits: §{finish_by: "06:30", max_duration: 5h}\n' + FINE),
        ("images_per_minute must be a number from 0.001 to 1,000,000, or one", HEAD + "limits: {images_per_minute: §0}\n" + FINE),
        ("images_per_minute must be a number from 0.001", HEAD + "limits: {images_per_minute: §1e-320}\n" + FINE),
        ("images_per_minute must be a number from 0.001", HEAD + "limits: {images_per_minute: §1e308}\n" + FINE),
        ("images_per_minute must be a number from 0.001", HEAD + "limits: {images_per_minute: {other: 5, gpt-image-2: §1e-320}}\n" + FINE),
        ("images_per_minute must be a number from 0.001", HEAD + "limits: {images_per_minute: {gpt-image-2: §true}}\n" + FINE),
        ('"9999-12-31T23:59:59-14:00" is not within the years 2000 to 9000 (', HEAD + 'limits: {finish_by: §"9999-12-31T23:59:59-14:00"}\n' + FINE),
        ('"0001-01-01T00:00:00+14:00" is not within the years', HEAD + 'limits: {finish_by: §"0001-01-01T00:00:00+14:00"}\n' + FINE),
        ("`limits.concurrency` is 1025 (write at most 1024)", HEAD + "limits: {concurrency: §1025}\n" + FINE),
        ('`limits.budget_usd` must be a number, but "5" is text (write 5 without quotes)', HEAD + 'limits: {budget_usd: §"5"}\n' + FINE),
        ('`retry.on_unknown` is "resnd" (did you mean resend?)', HEAD + "retry: {on_unknown: §resnd}\n" + FINE),
        ("`max_tasks` must be a whole number", HEAD + "max_tasks: §1e3\n" + FINE),
        ("`report.thumbnails` must be true or false", HEAD + "report: {thumbnails: §yes}\n" + FINE),
        ("`limits` must be lines of `name: value`, but this is a list (write limits: {budget_usd: 25.0})", HEAD + "limits: §[]\n" + FINE),
        ("`prompt_template` must hold the prompt", HEAD + "prompt_template: §flat\n" + FINE),
        ("a single } in", HEAD + 'prompt_template: §"{prompt} }"\n' + FINE),
        ("`n` cannot be set in a request: every request is for one image", HEAD + "request: {§n: 2}\n" + FINE),
        ("stream \"yes\" is neither yes nor no (write true or false", HEAD + 'request: {stream: §"yes"}\n' + FINE),
        ('an unquoted yes is a yes-or-no value, for some programs (write true, or write it in quotes: "yes")', HEAD + "request: {stream: §yes}\n" + FINE),
        ("partial_images works only with stream true, but stream is false when left out (write stream: true)", HEAD + "request: {partial_images: §2}\n" + FINE),
        ("partial_images 4 is out of range (use a whole number from 0 to 3)", HEAD + "request: {stream: true, partial_images: §4}\n" + FINE),
        ("`image` cannot be set in a request: pictures have their own key", HEAD + "request: {§image: a.png}\n" + FINE),
        ("`extra` may not hold `stream`, which is a parameter", HEAD + "request: {extra: {§stream: true}}\n" + FINE),
        ("`extra` may not hold `style`, a parameter that gpt-image-2 does not take", HEAD + "request: {extra: {§style: vivid}}\n" + FINE),
        ("`model` cannot be set in a request", HEAD + "request: {extra: {§model: x}}\n" + FINE),
        ("`extra` may not hold `size`", HEAD + "request: {extra: {§size: x}}\n" + FINE),
        ("`extra` must be lines of `name: value`", HEAD + "request: {extra: §x}\n" + FINE),
        ("an unquoted no is", HEAD + "request: {extra: {a: [[{b: §no}]]}}\n" + FINE),
        ("`size` is empty (write a value, or leave the key out)", HEAD + "request: {§size: null}\n" + FINE),
        ("no known model takes `sieze` (did you mean size?)", HEAD + "request: {§sieze: 1}\n" + FINE),
        ("gpt-image-2 does not take style", HEAD + "request: {§style: vivid}\n" + FINE),
        ('output_compression "50" is text (write 50, without quotes)', HEAD + 'request: {output_format: jpeg, output_compression: §"50"}\n' + FINE),
        ('output_compression "500" is out of range', HEAD + 'request: {output_format: jpeg, output_compression: §"500"}\n' + FINE),
        ("size 1920x1080 is not taken by gpt-image-2", HEAD + "request: {size: §1920x1080}\n" + FINE),
        ("`prompts` is missing", "§" + HEAD),
        ("`prompts` is empty", HEAD + "prompts: §[]\n"),
        ("`prompts` must be a list", HEAD + "prompts: §{id: a}\n"),
        ("the file is empty", "§# nothing\n"),
        ("a manifest is made of lines such as `model: gpt-image-2`, but this is a list", "§- a\n"),
        ("warning: the catalogue does not know the model gpt-imag-2 (did you mean gpt-image-2?", "batchgen: 1\nmodel: §gpt-imag-2\n" + FINE),
        ('"" is no name of a model', 'batchgen: 1\nmodel: §""\n' + FINE),
        ('".." is no name of a model (write one such as', "batchgen: 1\nmodel: §..\n" + FINE),
        ('"." is no name of a model', "batchgen: 1\nmodel: §.\n" + FINE),
        ("warning: dall-e-3 was retired by its maker on 2026-05-12", "batchgen: 1\nmodel: §dall-e-3\n" + FINE),
        ("dall-e-3 was retired by its maker on 2026-05-12", "batchgen: 1\nmodel: §dall-e-3\nprovider: openai\n" + FINE),
        ("`model` is missing", "batchgen: 1\nprompts:\n  - §{id: a, prompt: A boat}\n  - {id: b, prompt: A boat}\n"),
        ("this makes 60 tasks, more than max_tasks allows (write max_tasks: 60", HEAD + "max_tasks: §59\nprompts:\n  - {id: a, prompt: A, images: 60}\n"),
        ("this makes 1,000,000 tasks", HEAD + "§prompts:\n  - {id: a, prompt: A, images: 1000000}\n"),
        ("unknown key `size` (write `size:` under `request:`", HEAD + "§size: 1024x1024\n" + FINE),
        ("unknown key `\\u00a0max_tasks` (the blanks before it are no-break spaces", HEAD + "§\u00a0max_tasks: 5\n" + FINE),
        ("unknown key `budget_usd` (write `budget_usd:` under `limits:`, two blanks further in)", HEAD + "§budget_usd: 5\n" + FINE),
        ("unknown key `max_attempts` (write `max_attempts:` under `retry:`", HEAD + "§max_attempts: 2\n" + FINE),
        ("unknown key `images` (write `images:` in an entry of `prompts:`)", HEAD + "§images: 2\n" + FINE),
        ("unknown key `table` (write `table:` in an entry of `prompts:`)", HEAD + "§table: a.csv\n" + FINE),
        ("unknown key `qualty` (write `quality:` under `request:`", HEAD + "§qualty: low\n" + FINE),
        ("`limits.budget_usd` must be a number, but \"$5\" is text (write budget_usd: 5)", HEAD + "limits: {budget_usd: §$5}\n" + FINE),
        ("`limits.budget_usd` must be a number, but \"5,00\" is text (write budget_usd: 5.00)", HEAD + "limits:\n  budget_usd: §5,00\n" + FINE),
        ("`limits.finish_by` must be text, but an unquoted 6:30 is a time of day, which some programs read as a number (write it in quotes, with two digits for the hour: \"06:30\")", HEAD + "limits: {finish_by: §6:30}\n" + FINE),
        ('"5 hours" is no length of time (write 600s', HEAD + "limits: {max_duration: §5 hours}\n" + FINE),
        ('size "landscape" is no size (write WIDTHxHEIGHT such as 1536x1024', HEAD + "request: {size: §landscape}\n" + FINE),
        ('size "16:9" is no size (write WIDTHxHEIGHT such as 1536x864', HEAD + "request: {size: §16:9}\n" + FINE),
        ('size "9:16" is no size (write WIDTHxHEIGHT such as 864x1536', HEAD + 'request: {size: §"9:16"}\n' + FINE),
        ('size "0:9" is no size (write WIDTHxHEIGHT such as 1024x1024', HEAD + 'request: {size: §"0:9"}\n' + FINE),
        ('output_format "jpg" is not taken', HEAD + "request: {output_format: §jpg, output_compression: 50}\n" + FINE),
        ('output_compression "50%" is no whole number (use', HEAD + "request: {output_format: jpeg, output_compression: §50%}\n" + FINE),
        ("`prompt_template` must hold the prompt (did you mean {prompt} where {promt} is?)", HEAD + 'prompt_template: §"{promt} flat"\n' + FINE),
        ("unknown key `base_url` (addresses, keys and folders are set by whoever runs the job", HEAD + "§base_url: https://x.example\n" + FINE),
    ],
)  # fmt: skip
def test_top(tmp_path: Path, expected: str, text: str) -> None:
    """One mistake at the top of a manifest is one line, at the wrong value or key."""
    assert only_problem(tmp_path, text).startswith(expected)


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        ("`id` must be text, but an unquoted no is", "{id: §no, prompt: A}"),
        ("`id` must be text, but an unquoted 012 is", "{id: §012, prompt: A}"),
        ("`id` must be text, but an unquoted 12:30 is", "{id: §12:30, prompt: A}"),
        ("`id` must be text, but an unquoted 1e3 is", "{id: §1e3, prompt: A}"),
        ("`id` must be text, but an unquoted 2024-01-01 is a date", "{id: §2024-01-01, prompt: A}"),
        ("`id` is empty (write id: paper-boat)", "{id: §~, prompt: A}"),
        ('`id` must be text, but these are lines of `name: value` (put a text that begins with { in quotes: "{sku}")', "{id: §{sku}, prompt: A}"),
        ('`id` is "a/b"', "{id: §a/b, prompt: A}"),
        ("`id` is nul, a name that Windows", "{id: §nul, prompt: A}"),
        ("`id` is missing", "§{prompt: A}"),
        ("`prompt` is missing", "§{id: a}"),
        ("a prompt has a line `id: ...` and a line `prompt: ...`, but \"just text\" is text (write `- id: my-picture`, and", "§just text"),
        ("a prompt has a line `id: ...` and a line `prompt: ...`, but \"id:a\" is text (put a blank behind each colon", "§id:a"),
        ("the prompt is empty", '{id: a, prompt: §" "}'),
        ("the control character U+0007 is not allowed", '{id: a, prompt: §"a\\a"}'),
        ("the prompt has 32,001 characters, gpt-image-2 takes at most 32,000", "{id: a, prompt: §" + "x" * 32_001 + "}"),
        ("a single { in", '{id: a, prompt: §"a { b"}'),
        ("`{a.b}` is no variable", '{id: a, prompt: §"{a.b}"}'),
        ("`{color}` is not varied in this prompt", '{id: a, prompt: §"{color}"}'),
        ("`{color}` is not varied in this prompt", '{id: a, prompt: A, request: {user: §"{color}"}}'),
        ("`images` is 0 (write at least 1)", "{id: a, prompt: A, images: §0}"),
        ("unknown key `n` (write `images:`)", "{id: a, prompt: A, §n: 2}"),
        ("`images` must be a whole number, but \"2x\" is text (write images: 2)", "{id: a, prompt: A, images: §2x}"),
        ("a { in `A {color boat` is never closed (write {color} for", '{id: a, prompt: §"A {color boat"}'),
        ("`vary.c` must be a list, but \"red\" is text (write c: [red])", '{id: a, prompt: "{c}", vary: {c: §red}}'),
        ("`vary` must be lines of `name: value`, but this is a list (write vary: {color: [red, blue]})", "{id: a, prompt: A, vary: §[red]}"),
        ("`prompt` is empty, since what stands behind a # is a note (put it in quotes)", "id: a\n    prompt:§ #1 boat"),
        ("`tags` must be a list", "{id: a, prompt: A, tags: §shop}"),
        ("`images` is 99999999999999999999, which is too large (write ", "{id: a, prompt: A, images: §99999999999999999999}"),
        ("`id` must be text, but an unquoted 99999999999999999999 is a large number", "{id: §99999999999999999999, prompt: A}"),
        ("unknown key `tabel` (did you mean table?)", "{id: a, prompt: A, §tabel: a.csv}"),
        ("unknown key `imags` (did you mean images?)", "{id: a, prompt: A, §imags: 2}"),
        ("a mask says where a picture is painted over, and there is none", "{id: a, prompt: A, §mask: a.png}"),
        ("`references` is empty", "{id: a, prompt: A, references: §[]}"),
        ("a text in `references` is empty (write references: ", '{id: a, prompt: A, references: [a.png, §""]}'),
        ("`references` has 17 entries (write at most 16)", "{id: a, prompt: A, references: §[" + ", ".join(["a.png"] * 17) + "]}"),
        ("`mask` is empty (write mask: ", '{id: a, prompt: A, references: [a.png], mask: §""}'),
        ("there is no file a.png in the manifest's folder", "{id: a, prompt: A, references: [§a.png]}"),
        ("../a.png is no path inside the manifest's folder", "{id: a, prompt: A, references: [§../a.png]}"),
        ("`{color}` is not varied in this prompt", "{id: a, prompt: A, references: [§'{color}.png']}"),
        ("there is no file a.csv in the manifest's folder (put the table there)", '{table: §a.csv, id: "{sku}"}'),
        ("`where` belongs to a table", "{id: a, prompt: A, §where: {a: b}}"),
        ("there is no file a.txt in the manifest's folder (put the list there)", '{id: a, prompt: "{c}", vary: {c: {file: §a.txt}}}'),
        ("beside `file` there is nothing else to say", '{id: a, prompt: "{c}", vary: {c: {file: a.txt, §skip: 1}}}'),
        ("there is no default `size` to remove", "{id: a, prompt: A, request: {§size: null}}"),
        ("`q` is varied but never used", "{id: a, prompt: A, vary: {§q: [a]}}"),
        ("a varied value must be a text or a number, but an unquoted no", '{id: a, prompt: "{c}", vary: {c: [§no]}}'),
        ("a varied value must be a text or a number, but an unquoted 12:30", '{id: a, prompt: "{c}", vary: {c: [§12:30]}}'),
        ('`c` has "a" twice', '{id: a, prompt: "{c}", vary: {c: [a, §a]}}'),
        ('"日本" has none of the letters a-z and no digit', '{id: a, prompt: "{c}", vary: {c: [§日本]}}'),
        ('"A!" and "a" of `c` both become a', '{id: a, prompt: "{c}", vary: {c: [a, §A!]}}'),
        ("a variable cannot be called `prompt`", '{id: a, prompt: "{prompt}", vary: {§prompt: [a]}}'),
        ("`a b` is no name of a variable", '{id: a, prompt: A, vary: {§a b: [a]}}'),
        ("`vary.c` is empty", '{id: a, prompt: "{c}", vary: {c: §[]}}'),
        ("there is nothing to exclude from", "{id: a, prompt: A, §exclude: [{a: b}]}"),
        ('`c` never is "red" (write blue)', '{id: a, prompt: "{c}", vary: {c: [blue]}, exclude: [{c: §red}]}'),
        ("`d` is not varied here", '{id: a, prompt: "{c}", vary: {c: [blue]}, exclude: [{§d: red}]}'),
        ("this excludes everything", '{id: a, prompt: "{c}", vary: {c: [blue]}, exclude: [§{}]}'),
        ("`exclude` leaves no combination", '{id: a, prompt: "{c}", vary: {c: [blue]}, §exclude: [{c: blue}]}'),
        ('`id` is "a-x y"', '{id: §"a-{c}", prompt: A, vary: {c: [x y]}}'),
        ("size 512x512 is not taken by gpt-image-2", '{id: a, prompt: A, vary: {s: [1024x1024, §512x512]}, request: {size: "{s}"}}'),
        ("size 512x512 is not taken by gpt-image-2", '{id: a, prompt: A, vary: {w: [1024, 512], h: ["512"]}, exclude: [{w: 1024}], request: {size: §"{w}x{h}"}}'),
        ("warning: the catalogue does not know the model gpt-imagine", '{id: a, prompt: A, vary: {m: [gpt-image-2, §gpt-imagine]}, model: "{m}"}'),
        ("gpt-image-2 does not take style", "{id: a, prompt: A, request: {§style: vivid}}"),
        ("the file's name ", "{id: §" + "x" * 100 + ', prompt: "{a}{b}", vary: {a: [' + "y" * 40 + "], b: [" + "z" * 40 + "]}}"),
    ],
)  # fmt: skip
def test_entry(tmp_path: Path, expected: str, entry: str) -> None:
    """One mistake in a prompt is one line, at the wrong value or key."""
    assert only_problem(tmp_path, f"{HEAD}prompts:\n  - {entry}\n").startswith(expected)


def test_all_in_one_go(tmp_path: Path) -> None:
    """Mistakes of every kind and in every part are found together, in the order of the file."""
    text = """\
batchgen: 1
model: gpt-image-2
limits: {concurrency: 0}
request: {size: 1920x1080, n: 3}
prompts:
  - {id: a, prompt: "{x}", images: 0}
  - {id: b, prompt: A, id: c}
  - {id: B, prompt: A, colour: red}
  - {id: d, prompt: A, request: {quality: best}}
"""
    places = [problem.split(": ")[0] for problem in problems_of(tmp_path, text)]
    assert ["3:23", "4:17", "4:28", "6:21", "6:36", "7:24", "8:10", "8:24", "9:43"] == places


def test_one_line_for_many_tasks(tmp_path: Path) -> None:
    """What is wrong with a default is said once, not once for every task that it spoils."""
    entries = "".join(f"  - {{id: p{n}, prompt: A, images: 3}}\n" for n in range(20))
    (problem,) = problems_of(tmp_path, f"{HEAD}request: {{quality: best}}\nprompts:\n{entries}")
    assert problem.startswith('3:20: quality "best"')


def test_duplicate_ids(tmp_path: Path) -> None:
    """Ids that differ only in case would share a file; the later one is named with the line of the earlier."""
    text = HEAD + "prompts:\n  - {id: mug, prompt: A}\n  - {id: Mug, prompt: A}\n  - {id: mug, prompt: A}\n"
    assert [
        "5:10: the id Mug is used as mug on line 4 already (choose another)",
        "6:10: the id mug is used on line 4 already (choose another)",
    ] == problems_of(tmp_path, text)


def test_file_name_that_is_no_job(tmp_path: Path) -> None:
    """A job is named after its file, and a file whose name will not do needs a `job`."""
    (problem,) = read(tmp_path, HEAD + FINE, name="my job.yaml").problems
    assert "add `job: my-job`" in problem.message
    assert read(tmp_path, HEAD + FINE, name="Spring_1.yaml").job == "Spring_1"
    assert read(tmp_path, HEAD + "job: x\n" + FINE, name="my job.yaml").problems == ()


def test_places_name_the_file_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is named as the user named it, so that an editor's terminal can jump there."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProblemsError) as caught:
        read(Path(), "a: *x")
    assert str(caught.value).startswith("job.yaml:1:4: ")


def test_a_picture_that_was_probably_meant(tmp_path: Path) -> None:
    """A name with a slip names the picture of the same folder; nothing outside of the manifest's folder is looked at."""
    outside = tmp_path / "outside"
    folder = tmp_path / "inside"
    (folder / "pictures").mkdir(parents=True)
    outside.mkdir()
    for place in (folder / "pictures", outside):
        (place / "mug.png").touch()
    (folder / "link").symlink_to(outside)
    (folder / "gone.png").symlink_to(outside / "none.png")
    text = HEAD + "prompts:\n  - {id: a, prompt: A, references: [pictures/mgu.png]}\n"

    (inside,) = problems_of(folder, text)
    (led_out,) = problems_of(folder, text.replace("pictures/", "link/"))
    (led_nowhere,) = problems_of(folder, text.replace("pictures/mgu.png", "gone.png"))

    assert inside.endswith("pictures/mgu.png in the manifest's folder (did you mean pictures/mug.png?)")
    assert led_out.endswith("link/mgu.png in the manifest's folder (put the picture there)")
    assert led_nowhere.endswith("gone.png in the manifest's folder (put the picture there)")


def test_ends_of_lines_that_only_yaml_knows(tmp_path: Path) -> None:
    """A line more than an editor counts is no reason to fail."""
    text = HEAD + 'description: "a\u2028b\u2028c"\nprompts:\n  - {id: a, prompt: A}\n  - id: b\n    prompt:'

    (problem,) = problems_of(tmp_path, text)

    assert "`prompt` is empty (write prompt: " in problem


def test_missing_file(tmp_path: Path) -> None:
    """A manifest that is not there is a mistake of the command."""
    from batchgen.manifest.load import load_manifest
    from tests.manifest.reading import SETTING

    with pytest.raises(UsageError, match="no such file"):
        load_manifest(tmp_path / "none.yaml", SETTING)


def test_unknown_provider_of_the_command(tmp_path: Path) -> None:
    """A provider that the command names and nobody configured is a mistake of the command."""
    with pytest.raises(UsageError, match="did you mean sandbox"):
        read(tmp_path, HEAD + FINE, provider="sandbx")


def test_a_faulty_entry_hides_no_other_mistake(tmp_path: Path) -> None:
    """Requests, placeholders and texts are checked although every entry is faulty, so that one look mends all."""
    text = (
        "batchgen: 1\nmodel: gpt-image-2\nrequest: {size: 512x512}\nprompts:\n"
        '  - {id: no, prompt: "A {thing}"}\n'
        '  - {id: a, prompt: " ", images: 0, request: {quality: ultra}}\n'
    )

    places = [line.split(": ")[0].rpartition("yaml:")[2] for line in problems_of(tmp_path, text)]

    # Size, unquoted id, missing variable, empty prompt, images, quality.
    assert sorted(places) == ["3:17", "5:10", "5:22", "6:21", "6:34", "6:56"]


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        # Missing `q` and `s`, unused `d`, the unknown `seed`.
        (
            ["`{q}` is not", "`d` is varied but never", "no known model takes `seed`", "`{s}` is not"],
            'prompt: "x {c} {q}", vary: {c: [1], d: [1]}, request: {seed: 3, size: "{s}"}',
        ),
        (
            ["`d` is varied but never", "`e` is not varied here"],
            'prompt: "{c}", vary: {c: [1], d: [1]}, exclude: [{e: 1}]',
        ),
        (
            ["`{a b}` is no", "`{0}` is no", "`{zz}` is not", "`{yy}` is not"],
            'prompt: "{a b} {0} {zz} {yy}"',
        ),
        # A faulty value hides neither its own name nor its placeholders.
        (
            ["no known model takes `sede`", "`{a b}` is no", "`{q}` is not"],
            'prompt: A, request: {sede: "{a b} {q}"}',
        ),
        (["gpt-image-2 does not take style", "an unquoted 012"], "prompt: A, request: {style: 012}"),
        (
            ["`images` is 0", "gpt-image-2 does not take style"],
            'prompt: "{c}", images: 0, vary: {c: [1]}, request: {style: "{c}"}',
        ),
        (
            ["`images` is 0", "warning: the catalogue does not know the model gpt-imag-2"],
            'prompt: "{c}", images: 0, vary: {c: [1]}, model: gpt-imag-2, request: {size: "{c}"}',
        ),
        # The names of parameters need no model.
        (["`{0}` is no", "no known model takes `seed`"], 'prompt: A, model: "{0}", request: {seed: 3}'),
        # Slugs are looked at though the prompt is missing.
        (["`prompt` is missing", '"日本" has none of'], "vary: {c: [日本]}"),
    ],
)  # fmt: skip
def test_one_fault_hides_no_other(tmp_path: Path, expected: list[str], entry: str) -> None:
    """All that is wrong with an entry, and with each of its texts, is said in one go, and nothing twice."""
    found = [
        line.partition(": ")[2] for line in problems_of(tmp_path, f"{HEAD}prompts:\n  - {{id: a, {entry}}}\n")
    ]

    assert expected == [line[: len(start)] for line, start in zip(found, expected, strict=True)]


@pytest.mark.parametrize(
    ("head", "entry"),
    [
        ("", 'prompt: "{d }"'),
        ("", 'prompt: "{d"'),
        ("", "prompt: {d}"),
        ("", 'promt: "{d}"'),
        ("", 'prompt: A, requst: {size: "{d}"}'),
        ("", 'prompt: A, request: {size: "{d }"}'),
        ("", 'prompt: A, request: {n: "{d}"}'),
        ('request: {user: "{d }"}\n', "prompt: A"),
        ('request: "{d}"\n', "prompt: A"),
        ('model: "{d }"\n', "prompt: A"),
        ('prompt_template: "{prompt} {d }"\n', "prompt: A"),
        ('prompt_templat: "{prompt} {d}"\n', "prompt: A"),
    ],
)
def test_a_part_that_cannot_be_read_may_use_a_variable(tmp_path: Path, head: str, entry: str) -> None:
    """A variable that a wrong part was meant to use is not called unused: that would send people astray."""
    model = "" if "model" in head else "model: gpt-image-2\n"
    text = f"batchgen: 1\n{model}{head}prompts:\n  - {{id: a, {entry}, vary: {{d: [1]}}}}\n"

    found = problems_of(tmp_path, text)

    assert found
    assert [] == [line for line in found if "never used" in line]


@pytest.mark.parametrize("head", ['request: {user: "{q}"}\n', 'request: {seed: "{a b}"}\n'])
def test_a_faulty_default_is_told_once(tmp_path: Path, head: str) -> None:
    """What is wrong with a default is not said again for every prompt that has it."""
    text = f"{HEAD}{head}prompts:\n" + "".join(f"  - {{id: p{n}, prompt: A}}\n" for n in range(3))

    found = problems_of(tmp_path, text)

    assert found
    assert len(set(found)) == len(found)


def test_a_faulty_default_can_be_removed(tmp_path: Path) -> None:
    """A default that could not be read is still there to be removed by a prompt."""
    text = HEAD + "request: {user: 012}\nprompts:\n  - {id: a, prompt: A, request: {user: null}}\n"

    (problem,) = problems_of(tmp_path, text)

    assert problem.startswith("3:17: an unquoted 012")


def test_a_faulty_value_leaves_its_default_in_force(tmp_path: Path) -> None:
    """Parameters that depend on each other are judged as they were meant, though one of them is unreadable."""
    text = HEAD + (
        "request: {output_format: jpeg, output_compression: 50}\nprompts:\n"
        "  - {id: a, prompt: A, request: {output_format: 012}}\n"
    )

    (problem,) = problems_of(tmp_path, text)

    assert problem.startswith("5:49: an unquoted 012")


@pytest.mark.parametrize(
    "text", ["batchgen: 1\nmodel:\n" + FINE, "batchgen: 1\nprompts:\n  - {id: a, prompt: A, model: null}\n"]
)
def test_an_empty_model_is_missing(tmp_path: Path, text: str) -> None:
    """A model with nothing written behind it is no model, rather than no tasks."""
    (problem,) = problems_of(tmp_path, text)

    assert "`model` is missing" in problem


def test_too_many_variables_are_one_mistake(tmp_path: Path) -> None:
    """Variables over the limit are not called missing where they are used."""
    names = [f"v{n}" for n in range(33)]
    vary, text = ", ".join(f"{name}: [1]" for name in names), " ".join(f"{{{name}}}" for name in names)

    (problem,) = problems_of(tmp_path, f'{HEAD}prompts:\n  - {{id: a, prompt: "{text}", vary: {{{vary}}}}}\n')

    assert "33 variables are too many" in problem
