// Caffe's own fillers, as src/caffe/util/math_functions.cpp and include/caffe/filler.hpp write them, over Boost.
#include <cmath>
#include <limits>

#include <boost/math/special_functions/next.hpp>
#include <boost/random.hpp>
#include <boost/version.hpp>

using Engine = boost::mt19937;

extern "C" {

const char* caffe_boost_version() { return BOOST_LIB_VERSION; }

Engine* caffe_new_engine(unsigned seed) { return new Engine(seed); }

void caffe_rng_gaussian(Engine* engine, long n, float mean, float std, float* out) {
  boost::normal_distribution<float> distribution(mean, std);
  boost::variate_generator<Engine*, boost::normal_distribution<float>> generator(engine, distribution);
  for (long i = 0; i < n; ++i) out[i] = generator();
}

void caffe_rng_uniform(Engine* engine, long n, float low, float high, float* out) {
  boost::uniform_real<float> distribution(low, boost::math::nextafter(high, std::numeric_limits<float>::max()));
  boost::variate_generator<Engine*, boost::uniform_real<float>> generator(engine, distribution);
  for (long i = 0; i < n; ++i) out[i] = generator();
}

void caffe_positive_unitball(Engine* engine, long rows, long columns, float* out) {
  caffe_rng_uniform(engine, rows * columns, 0, 1, out);
  for (long i = 0; i < rows; ++i) {
    float sum = 0;
    for (long j = 0; j < columns; ++j) sum += out[i * columns + j];
    for (long j = 0; j < columns; ++j) out[i * columns + j] /= sum;
  }
}

}
