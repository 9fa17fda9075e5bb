// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

// On Linux librdkafka is loaded when Kafka is first used, so that programs start without it. Elsewhere it is linked.
#if os(Linux)
let rdKafka = Target.target(name: "CMQLockRdKafka", publicHeadersPath: ".")
#else
let rdKafka = Target.systemLibrary(
    name: "CMQLockRdKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"]), .brew(["librdkafka"])])
#endif
// For targets of this package that call more of it than MQLockKafka does.
let linkedRdKafka: [LinkerSetting] = [.linkedLibrary("rdkafka")]

let package = Package(
    name: "mqlock",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "MQLock", targets: ["MQLock"]),
        .library(name: "MQLockRabbitMQ", targets: ["MQLockRabbitMQ"]),
        .library(name: "MQLockKafka", targets: ["MQLockKafka"]),
        .library(name: "MQLockTesting", targets: ["MQLockTesting"]),
        .library(name: "MQLockTimeZones", targets: ["MQLockTimeZones"]),
        .executable(name: "mqlock", targets: ["MQLockTool"]),
    ],
    targets: [
        .systemLibrary(
            name: "CMQLockRabbitMQ", pkgConfig: "librabbitmq",
            providers: [.apt(["librabbitmq-dev"]), .brew(["rabbitmq-c"])]),
        rdKafka,
        .systemLibrary(name: "CMQLockProcess"),

        .target(name: "MQLockLineReader", swiftSettings: settings),
        .target(name: "MQLock", swiftSettings: settings),
        .target(name: "MQLockTimeZones", swiftSettings: settings),
        .target(name: "MQLockRabbitMQ", dependencies: ["MQLock", "CMQLockRabbitMQ"], swiftSettings: settings),
        .target(name: "MQLockKafka", dependencies: ["MQLock", "CMQLockRdKafka"], swiftSettings: settings),
        .target(name: "MQLockTesting", dependencies: ["MQLock"], swiftSettings: settings),
        .executableTarget(
            name: "MQLockTool",
            dependencies: [
                "CMQLockProcess", "MQLockLineReader", "MQLock", "MQLockKafka", "MQLockRabbitMQ", "MQLockTesting",
            ],
            swiftSettings: settings),

        .executableTarget(
            name: "EmbeddedKafka", dependencies: ["CMQLockRdKafka", "MQLockLineReader"], path: "brokers/EmbeddedKafka",
            swiftSettings: settings, linkerSettings: linkedRdKafka),

        .testTarget(name: "MQLockTests", dependencies: ["MQLock", "MQLockTesting"], swiftSettings: settings),
        .testTarget(name: "MQLockTestingTests", dependencies: ["MQLock", "MQLockTesting"], swiftSettings: settings),
        .testTarget(
            name: "MQLockRabbitMQTests", dependencies: ["MQLock", "MQLockRabbitMQ", "MQLockTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "MQLockKafkaTests",
            dependencies: [
                "MQLock", "MQLockKafka", "MQLockTesting", "CMQLockRdKafka", "EmbeddedKafka", "FencedWorker",
                "LogWorker", "ShardWorker",
            ],
            swiftSettings: settings, linkerSettings: linkedRdKafka),
        .executableTarget(
            name: "ShardWorker", dependencies: ["MQLockLineReader", "MQLock", "MQLockKafka", "MQLockTesting"],
            path: "Tests/Torture/ShardWorker", swiftSettings: settings),
        .executableTarget(
            name: "LogWorker", dependencies: ["MQLockLineReader", "MQLock", "MQLockKafka", "MQLockTesting"],
            path: "Tests/Torture/LogWorker", swiftSettings: settings),
        .executableTarget(
            name: "FencedWorker", dependencies: ["MQLock", "MQLockKafka"], path: "Tests/Torture/FencedWorker",
            swiftSettings: settings),
        .testTarget(
            name: "MQLockToolTests",
            dependencies: [
                "MQLockLineReader", "MQLock", "MQLockKafka", "MQLockTesting", "MQLockTimeZones", "MQLockRabbitMQ",
                "MQLockTool", "EmbeddedKafka", "RawLocks",
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "RawLocks", dependencies: ["CMQLockRabbitMQ", "CMQLockRdKafka", "MQLockLineReader", "MQLockTesting"],
            path: "Tests/Benchmarks/RawLocks",
            swiftSettings: settings, linkerSettings: linkedRdKafka),
        .executableTarget(
            name: "OwnershipRounds",
            dependencies: ["CMQLockRdKafka", "MQLockLineReader", "MQLock", "MQLockKafka", "MQLockTesting"],
            path: "Tests/Benchmarks/OwnershipRounds", swiftSettings: settings, linkerSettings: linkedRdKafka),
        .executableTarget(
            name: "ScaleWorker", dependencies: ["MQLockLineReader", "MQLock", "MQLockRabbitMQ"],
            path: "Tests/Benchmarks/ScaleWorker", swiftSettings: settings),
        .testTarget(
            name: "Torture", dependencies: ["MQLock", "MQLockRabbitMQ", "MQLockTesting", "TortureWorker"],
            path: "Tests/Torture/Tests", swiftSettings: settings),
        .executableTarget(
            name: "TortureWorker", dependencies: ["MQLockLineReader", "MQLock", "MQLockRabbitMQ", "MQLockTesting"],
            path: "Tests/Torture/Worker",
            swiftSettings: settings),

        .target(
            name: "ExamplesShared", dependencies: ["CMQLockRabbitMQ", "MQLockLineReader"], path: "examples/Shared",
            exclude: ["run.bash"],
            swiftSettings: settings),
        .executableTarget(
            name: "NightlyReport", dependencies: ["ExamplesShared", "MQLock", "MQLockRabbitMQ"],
            path: "examples/NightlyReport", exclude: ["README.md", "run"], swiftSettings: settings),
        .executableTarget(
            name: "OrderProducer", dependencies: ["ExamplesShared"], path: "examples/OrderProducer",
            exclude: ["README.md", "run"], swiftSettings: settings),
        .executableTarget(
            name: "OrderWorker", dependencies: ["ExamplesShared", "MQLock", "MQLockRabbitMQ"],
            path: "examples/OrderWorker", exclude: ["README.md", "run"], swiftSettings: settings),
        .executableTarget(
            name: "ShardedInventory", dependencies: ["CMQLockRdKafka", "ExamplesShared", "MQLock", "MQLockKafka"],
            path: "examples/ShardedInventory", exclude: ["README.md", "run"], swiftSettings: settings,
            linkerSettings: linkedRdKafka),
        .executableTarget(
            name: "OutboxRelay", dependencies: ["ExamplesShared", "MQLock", "MQLockRabbitMQ"],
            path: "examples/OutboxRelay", exclude: ["README.md", "run"], swiftSettings: settings),
        .testTarget(
            name: "ExamplesTests",
            dependencies: [
                "ExamplesShared", "MQLock", "MQLockTesting", "MQLockTool", "NightlyReport", "OrderProducer",
                "OrderWorker", "OutboxRelay", "ShardedInventory", "EmbeddedKafka",
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
