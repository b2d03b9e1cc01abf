"""ERNIE: a BERT that learns to say whole phrases and names, in three stages.

Sun, Wang, Li, Feng, Chen, Zhang, Tian, Zhu, Tian & Wu: ERNIE: Enhanced Representation through
Knowledge Integration. arXiv:1904.09223, 2019.

    tokenizer    as BERT
    segments     as BERT (the released code keeps next-sentence prediction)
    corruption   15 % of the tokens, 80/10/10: basic units first, then phrases, then entities
    model        as BERT
    loss         as BERT
"""

from __future__ import annotations

from bertsmith.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, RunConfig, Stage
from bertsmith.data.corrupt import mask
from bertsmith.recipes import bert
from bertsmith.recipes.base import Recipe

RECIPE = Recipe(
    citation="Sun et al. 2019, ERNIE: Enhanced Representation through Knowledge Integration",
    config=RunConfig(
        recipe="ernie",
        model=ModelConfig(norm="post", dropout=0.1, attention_dropout=0.1),
        data=DataConfig(
            stages=(
                Stage(share=0.34, masking="word"),  # a character, where scripts have no spaces
                Stage(share=0.33, masking="phrase"),
                Stage(share=0.33, masking="entity"),
            ),
            mask_rate=0.15,
            mask_token_share=0.8,
            random_token_share=0.1,
        ),
        optim=OptimConfig(name="adamw", lr=5e-4, beta2=0.999, weight_decay=0.01, warmup=0.1),
        budget=BudgetConfig(minutes=20),
    ),
    tokenizer=bert.RECIPE.tokenizer,
    segments=bert.segments,
    corrupt=mask,
    model=bert.model,
    loss=bert.loss,
)
