"""What sequence backbones share: reading histories through a representation, next-item losses on every state."""
