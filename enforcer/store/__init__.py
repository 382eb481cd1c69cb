"""What is kept in SQL: alerts, incidents and actions as the topics told them, and what only people say."""
