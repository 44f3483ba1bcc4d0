from gato.config import PolicyConfig
from gato.experiments.evaluation import EvaluationOptions


def test_sampling_limits_decide_the_settings_only_where_they_are_used():
    plain, limited = (EvaluationOptions().settings([], policy) for policy in (PolicyConfig(), PolicyConfig(top_k=5)))
    assert "top_k" not in plain["policy"]
    assert limited["policy"] == {**plain["policy"], "top_k": 5}
