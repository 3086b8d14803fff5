"""NetParameter to plan: state rules, shapes of tops, learnable blobs and their sharing."""
