import Foundation
import Testing

@testable import MQLockTool

@Suite("Change log") struct ChangeLogTests {
    private struct Entry: Equatable { let version, date: String }

    private static func text() throws -> String {
        try String(contentsOf: ChoiceArticle.url(".github/CHANGELOG.md"), encoding: .utf8)
    }

    private func entries() throws -> [Entry] {
        try Self.text().matches(of: #/(?m)^## (\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)$/#).map {
            Entry(version: String($0.1), date: String($0.2))
        }
    }

    @Test("the command's version and its date are those of the newest entry")
    func version() async throws {
        let newest = try required(try entries().first)
        #expect(newest == Entry(version: Mqlock.version, date: Mqlock.releaseDate))
        let said = try await TestProcess.run(["--version"])
        #expect(said.status == 0 && said.output == "mqlock \(newest.version)\n")
    }

    @Test("the newest is first, and each version is there once")
    func order() throws {
        let numbers = try entries().map { $0.version.split(separator: ".").compactMap { Int($0) } }
        #expect(!numbers.isEmpty)
        for (newer, older) in zip(numbers, numbers.dropFirst()) {
            #expect(older.lexicographicallyPrecedes(newer), "\(older) stands behind \(newer)")
        }
        // Of all second-level headings but that on what is public.
        let headings = try Self.text().split(separator: "\n").count { $0.hasPrefix("## ") }
        #expect(headings == numbers.count + 1)
    }

    @Test("what counts as public has a list for each product")
    func products() throws {
        let text = try Self.text()
        let package = try String(contentsOf: ChoiceArticle.url("Package.swift"), encoding: .utf8)
        let products = package.matches(of: #/\.library\(name: "([A-Za-z]+)"/#).map { String($0.1) }
        #expect(products.count > 3)
        for product in products {
            #expect(text.contains(product))
            #expect(FileManager.default.fileExists(atPath: ChoiceArticle.url("Tests/PublicAPI/\(product).txt").path))
        }
    }
}
