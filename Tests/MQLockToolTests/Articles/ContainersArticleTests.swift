import Foundation
import Testing

/// The article *Containers* shows the manifests as they are.
@Suite("Article Containers") struct ContainersArticleTests {
    @Test func piecesOfYAMLAreThoseOfTheManifests() throws {
        let path = "Sources/MQLock/MQLock.docc/Containers.md"
        let article = try String(contentsOf: ChoiceArticle.url(path), encoding: .utf8)
        let manifests = try ["relay", "report"].map { try OperationFile("kubernetes/\($0).yaml").text() }
        let pieces = article.components(separatedBy: "```yaml\n").dropFirst().map {
            $0.components(separatedBy: "```\n")[0]
        }
        #expect(pieces.count > 5)
        for piece in pieces { #expect(manifests.contains { $0.contains(piece) }, "\(piece)") }
    }
}
