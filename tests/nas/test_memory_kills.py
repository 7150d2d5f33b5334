"""Processes that the kernel ended for memory are counted where containers and machines count them."""

from nas.memory_kills import any_between, memory_kills


def machine(tmp_path, **files):
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/job/worker\n0::/\n")
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 1\noom_kill 7\n")
    for name, text in files.items():
        path = tmp_path / "groups" / name.replace("__", "/").replace("OOM", "memory.oom_control")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"own": own, "mounted": tmp_path / "groups", "machine": vmstat}


def test_the_groups_own_count_and_that_of_groups_above(tmp_path):
    """A pod's limit may be met where the worker's own group has none."""
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
    where = machine(tmp_path, memory__job__worker__OOM=text.format(2), memory__job__OOM=text.format(3))
    assert sorted(count for _, count in memory_kills(**where)) == [2, 3]


def test_the_machines_count_where_no_group_counts(tmp_path):
    """On a machine without control groups of memory the kernel's own counter is left."""
    assert [count for _, count in memory_kills(**machine(tmp_path))] == [7]


def test_only_a_count_that_rose_is_a_kill():
    """A count that was not known before says nothing."""
    assert any_between((("a", 1),), (("a", 2),))
    assert not any_between((("a", 1),), (("a", 1), ("b", 5)))
    assert not any_between((), ())
