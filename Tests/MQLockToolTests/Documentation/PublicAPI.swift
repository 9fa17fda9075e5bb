import Foundation

@testable import MQLockTool

/// What a built module declares as public, read from its symbol graph.
struct PublicAPI {
    /// A declaration a line, in the order of the names.
    let lines: [String]

    /// The products of the package that are libraries.
    static let modules = ["MQLock", "MQLockKafka", "MQLockRabbitMQ", "MQLockTesting", "MQLockTimeZones"]

    /// Set to 1, the test writes the files instead of comparing them.
    static let variable = "MQLOCK_WRITE_API"
    static let command = "\(variable)=1 brokers/test --filter PublicAPITests"

    static func path(_ module: String) -> String { "Tests/PublicAPI/\(module).txt" }

    // MARK: The tool

    /// The tool beside the compiler that `swift` is; nil where it cannot be found or would need more than it is given here.
    static let tool: String? = {
        #if os(Linux)
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for swift in folders.map({ "\($0)/swift" }) where access(swift, X_OK) == 0 {
            let tool = URL(fileURLWithPath: swift).resolvingSymlinksInPath().deletingLastPathComponent()
                .appendingPathComponent("swift-symbolgraph-extract").path
            if access(tool, X_OK) == 0 { return tool }
        }
        #endif
        return nil
    }()
    static let reason = "where swift-symbolgraph-extract cannot be found"

    #if arch(x86_64)
    private static let target = "x86_64-unknown-linux-gnu"
    #else
    private static let target = "aarch64-unknown-linux-gnu"
    #endif

    /// Reads a module of the build that these tests are of.
    static func extracted(_ module: String, with tool: String) async throws -> PublicAPI {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-api-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let modules = URL(fileURLWithPath: TestProcess.mqlock).deletingLastPathComponent().appendingPathComponent(
            "Modules")
        let searched = [modules] + ["CMQLockRabbitMQ", "CMQLockRdKafka"].map { ChoiceArticle.url("Sources/\($0)") }
        let process = try TestProcess(
            tool,
            ["swift-symbolgraph-extract", "-module-name", module, "-target", target]
                + searched.flatMap { ["-I", $0.path] }
                + ["-minimum-access-level", "public", "-skip-synthesized-members", "-output-dir", folder.path])
        let result = await process.result()
        guard result.status == 0 else { throw TestFailure("no symbol graph of \(module): \(result.errors)") }
        // What it adds to other modules' types has files of its own.
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasSuffix(".symbols.json") }
        return PublicAPI(
            try files.map {
                try JSONDecoder().decode(SymbolGraph.self, from: Data(contentsOf: folder.appendingPathComponent($0)))
            })
    }

    // MARK: The lines

    init(_ graphs: [SymbolGraph]) {
        var names: [String: String] = [:]
        for symbol in graphs.flatMap(\.symbols) { names[symbol.identifier.precise] = symbol.path }
        var conformances: [String: Set<String>] = [:]
        var requirements: Set<String> = []
        for relation in graphs.flatMap(\.relationships) {
            switch relation.kind {
            case "conformsTo":
                let name = names[relation.target] ?? relation.targetFallback ?? relation.target
                let last = name.split(separator: ".").last.map(String.init) ?? name
                // What every type is unless it says otherwise.
                guard !["SendableMetatype", "Copyable", "Escapable"].contains(last) else { continue }
                conformances[relation.source, default: []].insert(last)
            case "requirementOf": requirements.insert(relation.source)
            default: break
            }
        }
        let all = graphs.flatMap(\.symbols).map { symbol in
            var line = symbol.declaration
            if symbol.isNominal {
                let parents = (conformances[symbol.identifier.precise] ?? []).sorted()
                // A protocol's declaration has them already.
                if !parents.isEmpty, !line.contains(" : ") { line += " : \(parents.joined(separator: ", "))" }
            }
            if requirements.contains(symbol.identifier.precise) { line += " (required)" }
            return (path: symbol.path, line: symbol.parent.isEmpty ? line : "\(symbol.parent): \(line)")
        }
        lines = all.sorted { ($0.path, $0.line) < ($1.path, $1.line) }.map(\.line)
    }

    /// Reads what was committed.
    init(committed text: String) { lines = text.split(separator: "\n").map(String.init) }

    var text: String { lines.joined(separator: "\n") + "\n" }

    /// What one has and the other has not, a line each; empty when they are the same.
    func difference(from old: PublicAPI) -> String {
        lines.difference(from: old.lines).map { change in
            switch change {
            case .remove(_, let line, _): "- \(line)"
            case .insert(_, let line, _): "+ \(line)"
            }
        }.joined(separator: "\n")
    }
}

/// The part of a symbol graph's JSON that is used here.
struct SymbolGraph: Decodable {
    struct Symbol: Decodable {
        struct Kind: Decodable { let identifier: String }
        struct Identifier: Decodable { let precise: String }
        struct Fragment: Decodable { let spelling: String }

        let kind: Kind
        let identifier: Identifier
        let pathComponents: [String]
        let declarationFragments: [Fragment]?

        var path: String { pathComponents.joined(separator: ".") }
        var parent: String { pathComponents.dropLast().joined(separator: ".") }
        var isNominal: Bool { ["swift.struct", "swift.class", "swift.enum"].contains(kind.identifier) }
        /// On one line, whatever it was written on.
        var declaration: String {
            (declarationFragments ?? []).map(\.spelling).joined().split(whereSeparator: \.isWhitespace)
                .joined(separator: " ")
        }
    }

    struct Relationship: Decodable {
        let kind: String
        let source: String
        let target: String
        let targetFallback: String?
    }

    let symbols: [Symbol]
    let relationships: [Relationship]
}
