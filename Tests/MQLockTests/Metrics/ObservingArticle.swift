import Foundation

/// The article *Observing locks*, as far as tests hold it to its word.
struct ObservingArticle {
    private let text: String

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        text = try String(
            contentsOf: root.appendingPathComponent("Sources/MQLock/MQLock.docc/Observing.md"), encoding: .utf8)
    }

    /// The cells of every row of a table whose first cell is code.
    func rows(after heading: String) -> [[String]] {
        let section = text.components(separatedBy: "\n## \(heading)\n").dropFirst().first ?? ""
        return section.components(separatedBy: "\n## ")[0].split(separator: "\n").filter { $0.hasPrefix("| `") }.map {
            line in
            line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map {
                $0.trimmingCharacters(in: .whitespaces.union(["`"]))
            }
        }
    }

    /// The alert rules.
    var rules: String {
        let parts = text.components(separatedBy: "```")
        return parts.first { $0.hasPrefix("yaml\n") }.map { String($0.dropFirst(5)) } ?? ""
    }
}
