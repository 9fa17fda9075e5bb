import Foundation

@testable import MQLockTool

/// A file below `brokers/operation`.
struct OperationFile {
    let path: String

    init(_ path: String) { self.path = path }

    static let all: [String] = {
        let folder = ChoiceArticle.url("brokers/operation")
        let found = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return found.filter { $0.contains(".") || $0.hasSuffix("-setup") }.sorted()
    }()

    var url: URL { ChoiceArticle.url("brokers/operation/\(path)") }

    func text() throws -> String { try String(contentsOf: url, encoding: .utf8) }

    /// The documents of a file of YAML, as Python reads them.
    func documents() async throws -> [YAML] {
        let script = """
            import sys, json, yaml
            print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))
            """
        let python = try required(Self.python)
        let result = await (try TestProcess(python, ["python3", "-c", script, url.path])).result()
        guard result.status == 0 else { throw TestFailure("\(path): \(result.errors)") }
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return YAML(value).list
    }

    /// Python with a reader of YAML.
    static let python: String? = {
        for path in ProgramPath.all("python3") {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = ["-c", "import yaml"]
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { continue }
            process.waitUntilExit()
            if process.terminationStatus == 0 { return path }
        }
        return nil
    }()
}

/// Programs on the PATH, and where root has them.
enum ProgramPath {
    static func all(_ name: String) -> [String] {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return (path.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/bin"]).map { "\($0)/\(name)" }
            .filter { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static func first(_ name: String) -> String? { all(name).first }
}

/// What YAML and JSON have in common; whatever is not there is empty.
struct YAML: CustomStringConvertible {
    let value: Any?

    init(_ value: Any?) { self.value = value }

    subscript(path: String...) -> YAML { path.reduce(self) { YAML(($0.value as? [String: Any])?[$1]) } }

    var list: [YAML] { (value as? [Any] ?? []).map(YAML.init) }
    var map: [String: YAML] { (value as? [String: Any] ?? [:]).mapValues(YAML.init) }
    var isThere: Bool { value != nil && !(value is NSNull) }
    var text: String { value as? String ?? (value as? NSNumber).map { "\($0)" } ?? "" }
    var texts: [String] { list.map(\.text) }
    var number: Int? { (value as? NSNumber)?.intValue }
    var isTrue: Bool { value as? Bool == true }
    var description: String { value.map { "\($0)" } ?? "nothing" }
}
