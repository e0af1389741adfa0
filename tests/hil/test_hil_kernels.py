"""The self-test: the golden vectors on the device itself."""

from driver import golden_files


def test_kernels_agree_with_the_golden_vectors(device, figure):
    if device.kind == "board":
        device.put_golden()
    program = f"import sys\nsys.path.append({device.golden!r})\nimport run_golden\nrun_golden.main({device.golden!r})\n"
    count = len(golden_files()) - 1
    try:
        assert device.run(program, 60).strip() == f"OK {count} vectors (stapes_kernels)"
    finally:
        if device.kind == "board":
            device.drop_golden()
    figure("vectors", count)
