-- Fencing in MySQL 5.7 or later and MariaDB 10.2 or later. Once per database: the largest token of each lock.
-- VARBINARY compares names byte by byte, which the usual collations do not. InnoDB, since others lock nothing.
CREATE TABLE mqlock_fence (
    name VARBINARY(200) PRIMARY KEY,
    fence BIGINT NOT NULL,
    writes BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB;
-- What the lock protects; any tables will do.
CREATE TABLE report (
    name VARBINARY(200) PRIMARY KEY,
    content TEXT NOT NULL
) ENGINE = InnoDB;
-- Once per lock.
INSERT IGNORE INTO mqlock_fence (name, fence) VALUES (@name, 0);
INSERT IGNORE INTO report (name, content) VALUES (@name, '');
