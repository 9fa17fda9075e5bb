import Foundation
import Testing

/// What the documents invite others to do, done by packages that see no more of this one than others do.
@Suite(.serialized, .timeLimit(.minutes(15))) struct OutsidePackageTests {
    @Test(.enabled(if: OutsidePackage.tool != nil, "where swift is not on the path"))
    func anAdapterOfAnotherPackageConforms() async throws {
        let result = try await OutsidePackage(name: "FolderLocks").swift(["test", "--disable-xctest"])
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
        #expect(result.output.contains("conformance of folder"), "\(result.output)")
    }

    /// A static program is built anew, with flags of its own.
    @Test(
        .enabled(if: OutsidePackage.tool != nil, "where swift is not on the path"),
        arguments: isFull ? [false, true] : [false])
    func namedTimeZonesNeedTheirProduct(isStatic: Bool) async throws {
        let package = OutsidePackage(name: "FolderLocks", isStatic: isStatic)
        let zones = ["UTC", "Europe/Berlin"]
        let with = try await package.run("WithTimeZones", zones)
        #expect(with.output == "10800000\n7200000\n", "\(with.errors)")
        let without = try await package.run("WithoutTimeZones", zones)
        let lines = without.output.split(separator: "\n")
        #expect(lines.count == 2 && lines.first == "10800000", "\(without)")
        #expect(lines.last?.contains("MQLockTimeZones") == true, "\(without)")
    }

    @Test(
        .enabled("where swift-service-lifecycle cannot be resolved") { await OutsidePackage.lifecycle.canBeResolved() })
    func aGroupOfServicesEndsInEitherOrder() async throws {
        let broker = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ"]
        let runs: [[String]] = [[]] + (broker.map { [[$0]] } ?? [])
        for arguments in runs {
            let result = try await OutsidePackage.lifecycle.swift(["run"], ["GracefulServices"] + arguments)
            #expect(result.status == 0, "\(result.errors)")
            let lines = result.output.split(separator: "\n")
            #expect(lines.first == "locks first: ended", "\(result.output)\(result.errors)")
            // Whoever uses locks that have gone is told so.
            #expect(lines.last?.hasPrefix("locks last: ended") == true, "\(result.output)\(result.errors)")
        }
    }

    private static let isFull = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1"
    private static let moving = "Sources/MQLock/MQLock.docc/MovingFromOtherLocks.md"

    @Test(arguments: [
        (
            "Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc/RunningAsAService.md",
            "Tests/ServiceLifecycle/Sources/GracefulServices/Services.swift"
        ),
        ("Sources/MQLockKafka/MQLockKafka.docc/YourTopic.md", "Tests/Torture/ShardWorker/Billing.swift"),
        ("README.md", "Tests/MQLockToolTests/Articles/ReadmeExample.swift"),
        (moving, "Tests/MQLockToolTests/Articles/RedsyncExample.swift"),
        (moving, "Tests/MQLockToolTests/Articles/RedissonExample.swift"),
        (moving, "Tests/MQLockToolTests/Articles/ShedLockExample.swift"),
        (
            "Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc/GettingStartedWithRabbitMQ.md",
            "Tests/MQLockToolTests/Articles/RabbitMQServiceExample.swift"
        ),
        (
            "Sources/MQLockKafka/MQLockKafka.docc/GettingStartedWithKafka.md",
            "Tests/MQLockToolTests/Articles/KafkaServiceExample.swift"
        ),
    ])
    func articlesHaveWhatIsCompiled(_ article: String, _ code: String) throws {
        let code = try String(contentsOf: ChoiceArticle.url(code), encoding: .utf8)
        let article = try String(contentsOf: ChoiceArticle.url(article), encoding: .utf8)
        #expect(article.contains("```swift\n\(code)```"))
    }
}
