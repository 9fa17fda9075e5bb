// swift-tools-version: 6.2
import PackageDescription

// A package of its own, because MQLock depends on no other package.
let package = Package(
    name: "GracefulServices",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "mqlock", path: "../.."),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.5.2"),
    ],
    targets: [
        .executableTarget(
            name: "GracefulServices",
            dependencies: [
                .product(name: "MQLock", package: "mqlock"), .product(name: "MQLockRabbitMQ", package: "mqlock"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
