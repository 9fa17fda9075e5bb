import Foundation
import MQLock
import MQLockTesting
import Testing

/// The recipes of the article FencingInSQL on real servers, one after the other.
@Suite("SQL recipes", .serialized) struct SQLRecipeTests {
    @Test(.enabled(if: PrivateDatabase.Kind.postgreSQL != nil, "no PostgreSQL here: apt-get install postgresql"))
    func postgreSQL() async throws {
        let kind = try #require(PrivateDatabase.Kind.postgreSQL)
        let database = try await PrivateDatabase.start(kind)
        try await examine([try .postgreSQL(), try .postgreSQLRow()], database)
        try await recordsAreMarkedOnce(database)
    }

    @Test(.enabled(if: PrivateDatabase.Kind.mariaDB != nil, "no MariaDB here: apt-get install mariadb-server-core"))
    func mariaDB() async throws {
        let kind = try #require(PrivateDatabase.Kind.mariaDB)
        try await examine([try .mySQL()], await .start(kind))
    }

    @Test func articleShowsTheFilesThatAreTested() throws {
        let article = try String(
            contentsOf: SQLRecipe.resources.appendingPathComponent("FencingInSQL.md"), encoding: .utf8)
        for name in SQLRecipe.files { #expect(article.contains("```sql\n\(try SQLRecipe.file(name))```\n"), "\(name)") }
    }

    private func examine(_ recipes: [SQLRecipe], _ database: PrivateDatabase) async throws {
        for recipe in recipes {
            try await equalAndLargerPassSmallerDoNot(recipe, database)
            try await whoHasEnteredIsNotOvertaken(recipe, database)
            #expect(try await staleWrites(recipe, database) == [])
        }
        let caught = try await staleWrites(try #require(recipes.first).naive(), database)
        #expect(!caught.isEmpty, "the test would not see a stale write")
    }

    private func equalAndLargerPassSmallerDoNot(_ recipe: SQLRecipe, _ database: PrivateDatabase) async throws {
        // Names that a careless collation takes for one, and a quote.
        let names = ["job", "JOB", "jo''b"]
        var script = database.kind.reset + recipe.creating(names[0])
        for name in names.dropFirst() where recipe.dialect == .mySQL {
            // "Once per lock" are the last two statements.
            let lines = recipe.tables.split(separator: "\n").suffix(2)
            script += "SET @name = '\(name)';\n" + lines.joined(separator: "\n") + "\n"
        }
        let tokens: [UInt64] = [5, 5, 9, 8, 9, 0, FencingToken.maximum, FencingToken.maximum - 1]
        let expected: [UInt64] = [5, 5, 9, 9, FencingToken.maximum]
        for name in names {
            script += tokens.map { recipe.write(.number($0), name: name) }.joined()
        }
        let result = try await database.run(script)
        #expect(result.errors == [])
        let asked = result.rows.count { $0 == "ask" }
        #expect(asked == tokens.count * names.count)
        #expect(result.rows.filter { $0 != "ask" } == (names.flatMap { _ in expected }).map(String.init))
    }

    private func whoHasEnteredIsNotOvertaken(_ recipe: SQLRecipe, _ database: PrivateDatabase) async throws {
        // In turn: admitted, admitted, stale, stale, admitted, admitted.
        let steps = [
            recipe.write(.number(5)), recipe.enter(.number(9)), recipe.write(.number(8)), recipe.enter(.number(8)),
            recipe.write(.number(9)), recipe.enter(.number(9)),
        ]
        let result = try await database.run(database.kind.reset + recipe.creating() + steps.joined())
        #expect(result.errors == [])
        let rows = result.rows.split(separator: "ask", omittingEmptySubsequences: false).dropFirst()
        #expect(rows.map(\.count) == [1, 1, 0, 0, 1, 1])
    }

    private func recordsAreMarkedOnce(_ database: PrivateDatabase) async throws {
        let recipe = try SQLRecipe.postgreSQLOutbox(records: 3)
        // The first leader marks one, the second one that again, and the next; the first one comes back late.
        let steps: [(token: UInt64, record: String, isMarked: Bool)] = [
            (5, "1", true), (5, "1", false), (9, "1", false), (9, "2", true), (5, "3", false), (9, "3", true),
        ]
        let script = steps.map { recipe.write(.number($0.token), entry: $0.record) }.joined()
        let result = try await database.run(database.kind.reset + recipe.creating() + script)
        #expect(result.errors == [])
        let rows = result.rows.split(separator: "ask", omittingEmptySubsequences: false).dropFirst()
        #expect(rows.map { $0.joined() } == steps.map { $0.isMarked ? "\($0.token)" : "" })
    }

    /// Sixteen connections write under tokens that are new and tokens of old, some in a stricter isolation.
    /// - Returns: the admitted writes whose token was smaller than that of an earlier one.
    private func staleWrites(_ recipe: SQLRecipe, _ database: PrivateDatabase) async throws -> [String] {
        let seed = UInt64.random(in: 0 ... .max)
        let (connections, writes) = (UInt64(16), 25)
        let prepared = try await database.run(database.kind.reset + recipe.creating() + recipe.history)
        #expect(prepared.errors == [])
        var told: [String] = []
        try await withThrowingTaskGroup(of: [String].self) { group in
            for writer in 0..<connections {
                group.addTask {
                    let result = try await database.run(Self.script(recipe, writer, writes: writes, seed))
                    // Told to try again is not admitted.
                    let errors = result.errors.filter {
                        !$0.contains("could not serialize") && !$0.contains("Deadlock")
                    }
                    #expect(errors == [], "seed \(seed)")
                    #expect(result.rows.count { $0 == "ask" } == writes)
                    return result.rows.filter { $0 != "ask" }
                }
            }
            for try await rows in group { told += rows }
        }
        let history = try await database.run("SELECT fence FROM history ORDER BY id;\n").rows.compactMap(UInt64.init)
        // The clients were told the truth about what was admitted.
        #expect(history.sorted() == told.compactMap(UInt64.init).sorted(), "seed \(seed)")
        #expect(history.count > 50, "else nothing was tested")
        var highest: UInt64 = 0
        var stale: [String] = []
        for token in history {
            if token < highest { stale.append("\(token) after \(highest), seed \(seed)") }
            highest = max(highest, token)
        }
        print(
            "\(database.kind.name), seed \(seed):", "\(history.count) of \(Int(connections) * writes) writes admitted,",
            "\(stale.count) of them stale")
        return stale
    }

    private static func script(_ recipe: SQLRecipe, _ writer: UInt64, writes: Int, _ seed: UInt64) -> String {
        var generator = SeededGenerator(seed &+ writer)
        var script = ""
        if recipe.dialect == .postgreSQL, writer % 4 == 3 {
            script = "SET default_transaction_isolation = 'repeatable read';\n"
        }
        for _ in 0..<writes {
            let isStale = Bool.random(using: &generator)
            script += recipe.write(.age(isStale ? UInt64.random(in: 1...50_000, using: &generator) : 0))
        }
        return script
    }
}
