"""Networks keep no state: threads that run them at once, each in an arena of its own, do not meet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from component_project import small_graph
from firmware import build_on_host, include_flags, reference_files

from pienn.codegen.generate import generate
from pienn.ir import interpreter
from pienn.plan.plan import plan

RUNS, SAMPLES = 1000, 4
# first runs in two threads, second in one; with the argument `shared` the two use one arena.
PROGRAM = """\
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "first.h"
#include "second.h"
#include "samples.h"

typedef struct task {
    pthread_t thread;
    void (*run)(void *arena, const int8_t *x, int8_t *y);
    void *arena;
    const int8_t (*expected)[FIRST_OUTPUT_BYTES];
    int runs, wrong;
} task;

static pthread_barrier_t barrier;

static void *work(void *context) {
    task *own = context;
    pthread_barrier_wait(&barrier);
    for (int run = 0; run < own->runs; run++) {
        int8_t y[FIRST_OUTPUT_BYTES];
        own->run(own->arena, inputs[run % SAMPLES], y);
        own->wrong += memcmp(y, own->expected[run % SAMPLES], sizeof y) != 0;
    }
    return NULL;
}

int main(int count, char **arguments) {
    static _Alignas(16) int8_t a[FIRST_ARENA_BYTES], b[FIRST_ARENA_BYTES], c[SECOND_ARENA_BYTES];
    const int shared = strcmp(arguments[count - 1], "shared") == 0;
    task tasks[] = {
        {.run = first_run_in, .arena = a, .expected = first_expected},
        {.run = first_run_in, .arena = shared ? a : b, .expected = first_expected},
        {.run = second_run_in, .arena = c, .expected = second_expected},
    };
    const int threads = sizeof tasks / sizeof tasks[0];
    int wrong = 0;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        tasks[i].runs = shared ? 20 : RUNS;
        pthread_create(&tasks[i].thread, NULL, work, &tasks[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(tasks[i].thread, NULL);
        wrong += tasks[i].wrong;
    }
    printf("%d runs, %d wrong\\n", threads * tasks[0].runs, wrong);
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("threads")
    stored = np.random.default_rng(4).integers(-128, 128, (SAMPLES, 6, 5, 4)).astype(np.int8)
    arrays = {"inputs": stored}
    sources = []
    for seed, name in enumerate(("first", "second")):
        graph = small_graph(seed, 4)
        (arrays[f"{name}_expected"],) = interpreter.run(graph, [stored])
        sources += [path for path in generate(plan(graph), folder, name) if path.suffix == ".c"]
    assert not np.array_equal(arrays["first_expected"], arrays["second_expected"])
    text = ""
    for name, array in arrays.items():
        rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in array.reshape(SAMPLES, -1).tolist())
        text += f"static const int8_t {name}[{SAMPLES}][{array[0].size}] = {{{rows}}};\n"
    (folder / "samples.h").write_text(text)
    (folder / "main.c").write_text(PROGRAM)
    flags = ["-fsanitize=thread", "-g", "-pthread", f"-DRUNS={RUNS}", f"-DSAMPLES={SAMPLES}"]
    flags += ["-D_POSIX_C_SOURCE=200809L", *include_flags(folder)]
    build_on_host(tool("gcc"), [folder / "main.c", *sources, *reference_files()], flags, folder / "program")
    return folder / "program"


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60)


def test_two_networks_in_three_threads_are_right_and_free_of_races(program: Path) -> None:
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{3 * RUNS} runs, 0 wrong\n"


def test_an_arena_that_two_threads_share_is_a_race_that_is_seen(program: Path) -> None:
    done = run(program, "shared")
    assert done.returncode != 0 and "ThreadSanitizer: data race" in done.stderr
