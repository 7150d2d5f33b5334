"""Evaluates candidates as a search does as far as the data go: reads them where it runs."""

import cheap

from nas.data.prepare import prepare


def evaluate(architecture, seed, task, report):
    prepared = prepare(task.data, task.image_size, frame_size=task.augment.frame_size(task.image_size))
    return cheap.evaluate(architecture, seed, task, report) | {"data_fingerprint": prepared.fingerprint}
