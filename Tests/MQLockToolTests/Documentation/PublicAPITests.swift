import Foundation
import Testing

/// A declaration that comes, goes or changes is seen in the commit that does it.
@Suite struct PublicAPITests {
    @Test(.enabled(if: PublicAPI.tool != nil, Comment(rawValue: PublicAPI.reason)), arguments: PublicAPI.modules)
    func theListIsThatOfTheModule(module: String) async throws {
        let tool = try #require(PublicAPI.tool)
        let api = try await PublicAPI.extracted(module, with: tool)
        let path = PublicAPI.path(module)
        let url = ChoiceArticle.url(path)
        if ProcessInfo.processInfo.environment[PublicAPI.variable] == "1" {
            return try api.text.write(to: url, atomically: true, encoding: .utf8)
        }
        let committed = PublicAPI(committed: (try? String(contentsOf: url, encoding: .utf8)) ?? "")
        let difference = api.difference(from: committed)
        #expect(
            difference.isEmpty,
            "the public API of \(module) is not that of \(path); if it is meant to be: \(PublicAPI.command)\n\(difference)"
        )
    }

    /// Whoever adds an entry point for a name adds the one for text.
    @Test func everyEntryPointThatTakesANameTakesText() throws {
        let lines = try PublicAPI.modules.flatMap { module in
            PublicAPI(committed: try String(contentsOf: ChoiceArticle.url(PublicAPI.path(module)), encoding: .utf8))
                .lines
        }
        // What an adapter implements or makes is given a name that was text once.
        let calls = lines.filter { !$0.hasPrefix("BrokerContender: ") && !$0.hasPrefix("LeaseRecord: ") }
            .compactMap(PublicAPI.Call.init)
        // The tool leaves out of what a sequence is.
        let takers = calls.filter { $0.types.contains { $0.contains("some StringProtocol") || $0 == "some Sequence" } }
        #expect(takers.count > 10)
        let named = takers.reduce(into: Set()) { $0.formUnion($1.names) }
        for call in calls where call.types.contains(where: { $0 == "LockName" || $0.contains("<LockName>") }) {
            #expect(!named.isDisjoint(with: call.names), "\(call.names) has no overload for text")
        }
    }

    private func api(_ symbols: String, _ relationships: String = "") throws -> PublicAPI {
        PublicAPI([
            try JSONDecoder().decode(
                SymbolGraph.self, from: Data(#"{"symbols":[\#(symbols)],"relationships":[\#(relationships)]}"#.utf8))
        ])
    }

    private func symbol(_ kind: String, _ path: String, _ declaration: String) -> String {
        let components = path.split(separator: ".").map { "\"\($0)\"" }.joined(separator: ",")
        return """
            {"kind":{"identifier":"swift.\(kind)"},"identifier":{"precise":"\(path)"},"pathComponents":[\(components)],
            "declarationFragments":[{"spelling":"\(declaration)"}]}
            """
    }

    @Test func aLineHasParentDeclarationAndConformances() throws {
        let symbols = [
            symbol("method", "Box.open()", "func  open()"), symbol("struct", "Box", "struct Box"),
            symbol("protocol", "Able", "protocol Able : Sendable"), symbol("method", "Able.act()", "func act()"),
        ]
        let relationships = """
            {"kind":"conformsTo","source":"Box","target":"s","targetFallback":"Swift.Sendable"},
            {"kind":"conformsTo","source":"Box","target":"Able"},
            {"kind":"conformsTo","source":"Box","target":"c","targetFallback":"Swift.Copyable"},
            {"kind":"requirementOf","source":"Able.act()","target":"Able"}
            """
        #expect(
            try api(symbols.joined(separator: ","), relationships).lines == [
                "protocol Able : Sendable", "Able: func act() (required)", "struct Box : Able, Sendable",
                "Box: func open()",
            ])
    }

    @Test func theDifferenceNamesWhatCameAndWent() throws {
        let old = PublicAPI(committed: "struct A\nstruct B\n")
        let new = try api(
            [symbol("struct", "A", "struct A"), symbol("struct", "C", "struct C")].joined(separator: ","))
        #expect(new.difference(from: old).split(separator: "\n").sorted() == ["+ struct C", "- struct B"])
        #expect(new.difference(from: new).isEmpty)
    }
}
