"""Ways out: one file per kind. A kind speaks to one provider and knows nothing of incidents, plans or journals."""
