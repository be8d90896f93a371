"""Made-up exams with a known truth, for tests, training and the demo."""
