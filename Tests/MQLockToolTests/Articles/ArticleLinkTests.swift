import Foundation
import Testing

/// README and articles lead somewhere, in the repository and in the built documentation.
@Suite("Links of articles") struct ArticleLinkTests {
    private static func articles() throws -> [URL] {
        let sources = ChoiceArticle.url("Sources")
        let found = FileManager.default.enumerator(atPath: sources.path)?.compactMap { $0 as? String } ?? []
        let articles = found.filter { $0.contains(".docc/") && $0.hasSuffix(".md") }
        #expect(articles.count > 30)
        return articles.map { sources.appendingPathComponent($0) }
            + ["README.md", "brokers/operation/README.md"].map(ChoiceArticle.url)
    }

    @Test func everyPathIsThere() throws {
        var seen = 0
        for article in try Self.articles() {
            let text = try String(contentsOf: article, encoding: .utf8)
            for link in text.matches(of: #/\]\(([^)\s#:]+)(?:#[^)\s]*)?\)/#) {
                seen += 1
                let target = article.deletingLastPathComponent().appendingPathComponent(String(link.1))
                #expect(
                    FileManager.default.fileExists(atPath: target.standardizedFileURL.path),
                    "\(article.lastPathComponent): \(link.1)")
            }
        }
        #expect(seen > 50)
    }

    @Test func everyArticleIsThere() throws {
        var seen = 0
        for article in try Self.articles() {
            let text = try String(contentsOf: article, encoding: .utf8)
            for link in text.matches(of: #/<doc:([A-Za-z]+)>/#) {
                seen += 1
                let target = article.deletingLastPathComponent().appendingPathComponent("\(link.1).md")
                #expect(
                    FileManager.default.fileExists(atPath: target.path), "\(article.lastPathComponent): \(link.1)")
            }
        }
        #expect(seen > 50)
    }
}
