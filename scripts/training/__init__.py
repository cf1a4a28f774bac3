"""Making the checkpoint that lies in the repository: scenes, training, evaluation.

Nothing here runs in a demo, a test of the product or in the cloud. See the model card in
``serving/sam/assets/README.md`` for the recipe and the figures.
"""
