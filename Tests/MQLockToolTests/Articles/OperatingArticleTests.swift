import Foundation
import Testing

@testable import MQLockTool

/// The article *Operating* leaves nothing out that the command can say, and its commands are those that were tried.
@Suite("Article Operating") struct OperatingArticleTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOf: ChoiceArticle.url(path), encoding: .utf8)
    }

    private static func article() throws -> String { try text("Sources/MQLock/MQLock.docc/Operating.md") }

    @Test("every exit status has a row of the runbook")
    func statuses() throws {
        let source = try Self.text("Sources/MQLockTool/CLI/ExitStatus.swift")
        let statuses = source.matches(of: #/: Int32 = (\d+)\n/#).map { String($0.1) }
        #expect(statuses.count > 10)
        let rows = try Self.article().split(separator: "\n").filter { $0.hasPrefix("| ") }
        let first: [[String]] = rows.map { row in
            let cell = row.dropFirst(2).prefix { $0 != "|" }
            return cell.replacing(",", with: "").split(separator: " ").map(String.init)
        }
        for status in statuses { #expect(first.contains { $0.contains(status) }, "\(status)") }
    }

    @Test("every subject of the doctor has a row of the runbook")
    func findings() throws {
        let folder = "Sources/MQLockTool/Doctor"
        var subjects: Set<String> = []
        for file in try FileManager.default.contentsOfDirectory(atPath: ChoiceArticle.url(folder).path) {
            let source = try Self.text("\(folder)/\(file)")
            for match in source.matches(of: #/\.(?:good|advice|wrong)\(\s*"([a-z. ]+)",/#) {
                subjects.insert(String(match.1))
            }
        }
        #expect(subjects.count > 20)
        let article = try Self.article()
        let rows = article.split(separator: "\n").filter { $0.hasPrefix("| `") }.joined(separator: "\n")
        for subject in subjects { #expect(rows.contains("`\(subject)`"), "\(subject)") }
    }

    @Test("the shield is the doctor's, and the permissions are those of the protocol's article")
    func commands() throws {
        let article = try Self.article()
        #expect(article.contains("\n\(RabbitMQDoctor.shield)\n"))
        let protocolArticle = try Self.text("Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc/TheProtocol.md")
        let section = try required(protocolArticle.components(separatedBy: "\n## Permissions\n").dropFirst().first)
        let block = section.components(separatedBy: "```")[1]
        let patterns = Set(block.matches(of: #/\^mqlock\S+/#).map { String($0.output) })
        #expect(patterns.count > 7)
        for pattern in patterns { #expect(article.contains(pattern), "\(pattern)") }
    }
}
