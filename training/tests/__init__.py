"""Tests of the training scripts; `./efm train --self-test` runs them, as they need torch."""
