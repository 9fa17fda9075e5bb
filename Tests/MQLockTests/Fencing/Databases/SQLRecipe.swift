import Foundation
import MQLock

/// A recipe of the article FencingInSQL: its very files, and how a client of that database fills in the parameters.
struct SQLRecipe: Sendable {
    let dialect: Dialect
    /// The file with the tables.
    let tables: String
    /// The statement of a write, and what tells that it was admitted.
    let write: String
    /// The statement that only moves the mark.
    let enter: String
    /// Makes the tables observable: what was admitted is then in `history`, in order.
    let history: String

    enum Dialect { case postgreSQL, mySQL }

    enum Token {
        case number(UInt64)
        /// That of a holder who was granted the lock so many microseconds ago.
        case age(UInt64)
    }

    /// One write with its parameters. The client prints `ask`, and the token behind it when the write was admitted.
    func write(_ token: Token, entry: String = "x", name: String = "job") -> String {
        perform(write, token, entry: entry, name: name)
    }

    /// The same for the first statement of a holder.
    func enter(_ token: Token) -> String { perform(enter, token, entry: "x", name: "job") }

    private func perform(_ statement: String, _ token: Token, entry: String, name: String) -> String {
        switch dialect {
        case .postgreSQL:
            let number =
                switch token {
                case .number(let number): "\(number)"
                case .age(let age): "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint - \(age)"
                }
            return """
                \\echo ask
                \\set name '\(name)'
                \\set entry '\(entry)'
                SELECT \(number) AS fence \\gset
                \(statement)
                """
        case .mySQL:
            let number =
                switch token {
                case .number(let number): "\(number)"
                case .age(let age): "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) - \(age)"
                }
            return """
                SELECT 'ask'; SET @name = '\(name)', @entry = '\(entry)', @fence = \(number);
                \(statement) SELECT @fence FROM (SELECT ROW_COUNT() AS n) AS affected WHERE n > 0;

                """
        }
    }

    func creating(_ name: String = "job") -> String { (dialect == .mySQL ? "SET @name = '\(name)';\n" : "") + tables }

    static let resources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../../Sources/MQLock/MQLock.docc").standardizedFileURL

    static func file(_ name: String) throws -> String {
        try String(contentsOf: resources.appendingPathComponent("Resources/\(name).sql"), encoding: .utf8)
    }

    static let files = [
        "fence-postgresql", "fence-postgresql-write", "fence-postgresql-enter", "fence-postgresql-row",
        "fence-postgresql-row-write", "fence-postgresql-row-enter", "fence-postgresql-outbox",
        "fence-postgresql-outbox-mark", "fence-mysql", "fence-mysql-write", "fence-mysql-enter",
    ]
}

extension SQLRecipe {
    /// A table of marks, and any tables that the lock protects.
    static func postgreSQL() throws -> Self {
        Self(
            dialect: .postgreSQL, tables: try file("fence-postgresql"), write: try file("fence-postgresql-write"),
            enter: try file("fence-postgresql-enter"),
            history: "CREATE VIEW history AS SELECT id, fence FROM ledger;")
    }

    /// The mark in the row itself.
    static func postgreSQLRow() throws -> Self {
        Self(
            dialect: .postgreSQL, tables: try file("fence-postgresql-row"),
            write: try file("fence-postgresql-row-write"), enter: try file("fence-postgresql-row-enter"),
            history: """
                CREATE TABLE history (id bigint GENERATED ALWAYS AS IDENTITY, fence bigint);
                CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN INSERT INTO history (fence) VALUES (NEW.fence); RETURN NULL; END';
                CREATE TRIGGER note AFTER INSERT OR UPDATE ON report FOR EACH ROW EXECUTE FUNCTION note();
                """)
    }

    /// Marks in an outbox; the entry is a record's number.
    static func postgreSQLOutbox(records: Int) throws -> Self {
        let filling = "INSERT INTO outbox (body) SELECT 'x' FROM generate_series(1, \(records));\n"
        return Self(
            dialect: .postgreSQL, tables: try file("fence-postgresql") + file("fence-postgresql-outbox") + filling,
            write: try file("fence-postgresql-outbox-mark"), enter: try file("fence-postgresql-enter"), history: "")
    }

    static func mySQL() throws -> Self {
        Self(
            dialect: .mySQL, tables: try file("fence-mysql"), write: try file("fence-mysql-write"),
            enter: try file("fence-mysql-enter"),
            history: """
                CREATE TABLE history (id BIGINT PRIMARY KEY, fence BIGINT);
                CREATE TRIGGER note AFTER UPDATE ON mqlock_fence FOR EACH ROW
                    INSERT INTO history (id, fence) VALUES (NEW.writes, NEW.fence);

                """)
    }

    /// What the tests have to catch: looks, and then writes.
    func naive() -> Self {
        let write =
            switch dialect {
            case .postgreSQL:
                """
                SELECT coalesce(max(fence), 0) <= :fence AS ok FROM mqlock_fence WHERE name = :'name' \\gset
                SELECT pg_sleep(0.001) \\gset
                WITH marked AS (
                    INSERT INTO mqlock_fence (name, fence) SELECT :'name', :fence WHERE :'ok'
                    ON CONFLICT (name) DO UPDATE SET fence = excluded.fence RETURNING fence
                ) INSERT INTO ledger (entry, fence) SELECT :'entry', fence FROM marked RETURNING fence;

                """
            case .mySQL:
                """
                SELECT fence <= @fence INTO @ok FROM mqlock_fence WHERE name = @name;
                DO SLEEP(0.001);
                UPDATE mqlock_fence SET fence = @fence, writes = writes + 1 WHERE name = @name AND @ok;
                """
            }
        return Self(dialect: dialect, tables: tables, write: write, enter: enter, history: history)
    }
}
