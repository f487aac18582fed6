"""What is used of libraries that they do not promise, and the version that it works with."""

import inspect
import subprocess
import sys
from importlib import metadata

import pytest
import transformers
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.roberta.modeling_roberta import RobertaLayer

TESTED = "5.23"
HINT = f"transformers {metadata.version('transformers')} (tested with {TESTED}) has changed"


def test_trainer_saves_its_checkpoints_in_one_method():
    """`training.trainer.Trainer._save_checkpoint` turns a full disk into a warning."""
    method = getattr(transformers.Trainer, "_save_checkpoint", None)
    assert method, f"{HINT}: Trainer._save_checkpoint is gone"
    assert list(inspect.signature(method).parameters) == ["self", "model", "trial"], HINT
    assert "self.save_model(" in inspect.getsource(method), f"{HINT}: it saves in another way"


def test_a_bert_layer_has_the_parts_that_the_first_token_goes_through():
    """`training.speed.first_token_only` computes a layer by its parts."""
    config = transformers.BertConfig(
        hidden_size=8, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1
    )
    for kind in (BertLayer, RobertaLayer):
        layer = kind(config)
        parts = {name for name, _ in layer.named_children()}
        assert parts == {"attention", "intermediate", "output"}, f"{HINT}: {kind.__name__}"
        inner = {name for name, _ in layer.attention.self.named_children()}
        assert inner == {"query", "key", "value", "dropout"}, f"{HINT}: {kind.__name__}"
        assert layer.attention.self.attention_head_size == 4, HINT


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc; libgomp")
def test_the_openmp_workers_of_a_thread_go_when_another_one_trains():
    """`training.devices.release_threads` calls ``omp_pause_resource_all`` of torch's OpenMP."""
    code = """
import os, time, torch
from workbench.training import devices
torch.set_num_threads(4)
count = lambda: len(os.listdir("/proc/self/task"))
before = count()
torch.randn(2_000_000).exp()
busy = count()
devices.release_threads()
waited = 0
while count() > before and waited < 100:
    time.sleep(0.05)
    waited += 1
print(before < busy, count() == before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"], (
        f"torch {metadata.version('torch')} (tested with 2.13.0) has another OpenMP"
    )
