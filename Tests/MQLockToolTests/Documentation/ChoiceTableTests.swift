import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

@Suite struct ChoiceTableTests {
    private let article: String
    private let measured: String

    init() throws {
        article = try String(contentsOf: ChoiceArticle.url(ChoiceArticle.path), encoding: .utf8)
        measured = try String(contentsOf: ChoiceArticle.url(ChoiceArticle.figures), encoding: .utf8)
    }

    @Test func theArticleHasTheTable() throws {
        let table = try ChoiceTable(mutexes: RabbitMQLocks.Mutex.allCases, measured: measured).markdown
        let expected = try #require(ChoiceArticle.text(article, with: table), "no place for the table")
        if ProcessInfo.processInfo.environment[ChoiceArticle.variable] == "1" {
            return try expected.write(to: ChoiceArticle.url(ChoiceArticle.path), atomically: true, encoding: .utf8)
        }
        #expect(article == expected, "\(ChoiceArticle.path) is not up to date; run: \(ChoiceArticle.command)")
    }

    /// Each mutex has to have been measured, and a mutex more changes the article.
    @Test func aMutexWithoutFiguresIsRefused() throws {
        let all = RabbitMQLocks.Mutex.allCases
        for mutex in all {
            let others = measured.split(separator: "\n").filter { !$0.contains("\"mutex\":\"\(mutex)\"") }
            #expect(throws: ChoiceTable.Incomplete.self) {
                try ChoiceTable(mutexes: all, measured: others.joined(separator: "\n"))
            }
            let table = try ChoiceTable(mutexes: all.filter { $0 != mutex }, measured: measured).markdown
            #expect(ChoiceArticle.text(article, with: table) != article)
        }
    }

    @Test func theFiguresAreThoseOfAReleaseBuild() {
        #expect(measured.contains(#""build":"release""#))
    }

    /// The words beside the table: each mutex has a sentence that says when to take it.
    @Test func theArticleSaysWhenToTakeEach() {
        for mutex in RabbitMQLocks.Mutex.allCases { #expect(article.contains("- **`\(mutex)`**")) }
    }

    @Test func theCapabilitiesNameTheMutex() throws {
        for mutex in RabbitMQLocks.Mutex.allCases {
            #expect(try RabbitMQLocks(.init(mutex: mutex)).capabilities.mutex == mutex.description)
        }
    }
}
