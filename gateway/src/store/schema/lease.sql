-- Which process does what must not be done twice.
CREATE TABLE lease (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,
    pid INTEGER NOT NULL
) STRICT;
