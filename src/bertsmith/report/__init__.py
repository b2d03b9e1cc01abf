"""The self-contained HTML report of a run, and its figures.

style    colours in pairs (light, dark), and axes without clutter
figures  plain arrays -> matplotlib Figure
images   Figure -> SVG or PNG, in a file or inlined in a page
page     typed sections -> one HTML file
log      log.jsonl -> RunLog
scores   scores.json -> Scores
run      the report and the README of a pre-training run
finetune the report of a fine-tuning run
preview  samples of what a model will see
"""
