//! What a store keeps its revisions on. (Being written.)
