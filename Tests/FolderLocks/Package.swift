// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that it sees of MQLock what every other package sees.
let package = Package(
    name: "FolderLocks",
    platforms: [.macOS(.v15)],
    products: [.library(name: "FolderLocks", targets: ["FolderLocks"])],
    dependencies: [.package(name: "mqlock", path: "../..")],
    targets: [
        .target(name: "FolderLocks", dependencies: [.product(name: "MQLock", package: "mqlock")]),
        // The same program with and without the table of time zones, and without Foundation.
        .executableTarget(name: "WithoutTimeZones", dependencies: [.product(name: "MQLock", package: "mqlock")]),
        .executableTarget(
            name: "WithTimeZones",
            dependencies: [
                .product(name: "MQLock", package: "mqlock"), .product(name: "MQLockTimeZones", package: "mqlock"),
            ]),
        .testTarget(
            name: "FolderLocksTests",
            dependencies: [
                "FolderLocks", .product(name: "MQLock", package: "mqlock"),
                .product(name: "MQLockTesting", package: "mqlock"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
