"""The whole journey on one page: text, tokenizer, corpus, pre-training, and was it worth it?"""
