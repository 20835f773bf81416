"""Matrix factorization with the classes of scikit-learn."""
