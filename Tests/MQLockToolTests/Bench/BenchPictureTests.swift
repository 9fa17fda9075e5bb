import Foundation
import Testing

@testable import MQLockTool

#if canImport(FoundationXML)
import FoundationXML
#endif

@Suite("Picture of a benchmark") struct BenchPictureTests {
    private func sample(_ durations: [UInt64]) -> BenchSample {
        var sample = BenchSample()
        sample.add(durations)
        return sample
    }

    private func measurement(_ ours: [UInt64], _ raw: [UInt64]? = nil) throws -> BenchMeasurement {
        let (mqlock, other) = (sample(ours), raw.map(sample))
        let result = BenchResult(
            mutex: "sac", measure: .handOver, processes: 2, mqlock: try #require(BenchFigures(mqlock)),
            raw: other.flatMap { BenchFigures($0) })
        return BenchMeasurement(result: result, mqlock: mqlock, raw: other)
    }

    /// The elements of an SVG, in order; nil when it is no XML.
    private func parsed(_ picture: BenchPicture) -> [(name: String, attributes: [String: String])]? {
        let reader = Reader()
        let parser = XMLParser(data: Data(picture.svg.utf8))
        parser.delegate = reader
        return parser.parse() ? reader.elements : nil
    }

    private final class Reader: NSObject, XMLParserDelegate {
        var elements: [(name: String, attributes: [String: String])] = []
        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            elements.append((name, attributes))
        }
    }

    @Test(arguments: ["plain", "<&>\"' amqp://ü/\u{1}\n]]>"]) func itIsXMLWhateverItsTitle(_ title: String) throws {
        let picture = BenchPicture(title: title, [try measurement([1000, 2000], [3000])])
        let elements = try #require(parsed(picture))
        #expect(elements.first?.name == "svg")
        #expect(elements.count { $0.name == "polyline" } == 2)
    }

    @Test func thereIsACurveForEachProgramAndRow() throws {
        for rows in 0...7 {
            let measurements = try (0..<rows).map { try measurement([1_000_000], $0 % 2 == 0 ? [2] : nil) }
            let elements = try #require(parsed(BenchPicture(title: "", measurements)))
            #expect(elements.count { $0.name == "g" } == rows)
            #expect(elements.count { $0.name == "polyline" } == rows + (rows + 1) / 2)
        }
    }

    /// From nothing to hours: curves rise from left to right, and stay within the picture.
    @Test(
        arguments: [
            [0], [1], [1_000], [0, .max], [5, 5, 5], [1, 10_000_000_000_000], (1...1000).map { $0 * $0 * 1000 },
        ] as [[UInt64]])
    func curvesStayInThePicture(_ durations: [UInt64]) throws {
        let elements = try #require(parsed(BenchPicture(title: "", [try measurement(durations)])))
        let curve = try #require(elements.first { $0.name == "polyline" }?.attributes["points"])
        let points = curve.split(separator: " ").map { $0.split(separator: ",").compactMap { Double($0) } }
        #expect(points.count <= 101 && points.count > 1 && points.allSatisfy { $0.count == 2 })
        for (point, next) in zip(points, points.dropFirst()) { #expect(point[0] <= next[0] && point[1] >= next[1]) }
        for point in points { #expect((0...320).contains(point[0]) && (0...230).contains(point[1])) }
    }
}
