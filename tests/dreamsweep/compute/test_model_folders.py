import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

from dreamsweep.compute.model_folders import quiet


def test_warnings_are_off_until_the_last_thread_leaves_and_on_again_afterwards() -> None:
    filters = list(warnings.filters)
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with quiet():
            first_is_in.set()
            assert second_is_in.wait(300)
        first_is_out.set()

    def second() -> None:
        assert first_is_in.wait(300)
        with quiet():
            second_is_in.set()
            assert first_is_out.wait(300)
            warnings.warn("of a library", DeprecationWarning, stacklevel=1)  # an error in these tests, were it seen

    with ThreadPoolExecutor(2) as threads:
        for ended in [threads.submit(first), threads.submit(second)]:
            ended.result()
    assert warnings.filters == filters
