import Foundation
import Testing

@testable import MQLockTool

/// The command lines of README and articles are ones that `mqlock` accepts.
@Suite("Command lines of articles") struct ArticleCommandTests {
    private static let articles = [
        "README.md", "Sources/MQLock/MQLock.docc/InTheShell.md", "Sources/MQLock/MQLock.docc/Containers.md",
        "Sources/MQLock/MQLock.docc/OnACluster.md",
        "Sources/MQLock/MQLock.docc/MovingFromOtherLocks.md",
        "Sources/MQLock/MQLock.docc/Operating.md",
        "Sources/MQLockKafka/MQLockKafka.docc/GettingStartedWithKafka.md",
        "Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc/GettingStartedWithRabbitMQ.md",
    ]

    @Test(arguments: articles) func areAccepted(_ article: String) throws {
        let text = try String(contentsOf: ChoiceArticle.url(article), encoding: .utf8)
        let lines = Self.commandLines(text)
        #expect(lines.count > 2)
        for line in lines {
            #expect(throws: Never.self, "\(line)") { try Invocation.parse(Array(line.dropFirst())) }
        }
    }

    @Test func aWrongLineIsSeen() {
        let line = Self.commandLines("```sh\nmqlock run --onc day job -- ./job.sh\n```\n").first ?? []
        #expect(line.count == 7)
        #expect(throws: (any Error).self) { try Invocation.parse(Array(line.dropFirst())) }
    }

    /// The words of each line that begins with `mqlock`. Quoted text is split, too: it stands behind `--`, where nothing
    /// is parsed.
    private static func commandLines(_ text: String) -> [[String]] {
        text.matches(of: #/(?m)^mqlock .*$/#).map { match in
            match.output.prefix { $0 != "#" }.replacing(#/['"]/#, with: "").split(separator: " ").map(String.init)
        }
    }
}
